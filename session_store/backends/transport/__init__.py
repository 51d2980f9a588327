"""The way to Redis: where its primaries are, and how calls get there and back."""
