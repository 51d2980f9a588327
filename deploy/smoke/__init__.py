"""A whole conversation with a stack, from outside."""
