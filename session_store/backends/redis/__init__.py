"""The Redis backend: one Lua script per operation."""
