"""The HTTP gateway: it admits a page with a LiveKit token, and dispatches its agent."""
