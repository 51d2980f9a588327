"""How many conversations a core and a gigabyte hold: ``make bench-capacity``."""
