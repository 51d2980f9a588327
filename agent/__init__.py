"""The reference worker: an assistant that remembers, on any of several pipelines."""
