"""The store on real servers of every kind, and through their failovers."""
