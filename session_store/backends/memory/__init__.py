"""The backend of one process, for tests and trials."""
