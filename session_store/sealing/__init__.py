"""Keys, and everything that is encrypted or opened with them."""
