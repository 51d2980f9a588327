"""What is measured of conversations and workers."""
