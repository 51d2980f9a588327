"""What keeps the bytes: siblings behind one contract (``base.Backend``)."""
