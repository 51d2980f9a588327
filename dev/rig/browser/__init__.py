"""A real browser, the demo in it, and its page."""
