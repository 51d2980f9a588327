"""Pipelines of hosted models: a few lines of configuration each."""
