"""The commands behind `make`: set-up, the demo, the checks."""
