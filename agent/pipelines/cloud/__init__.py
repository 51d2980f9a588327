"""Pipelines of hosted models: each is a few lines of configuration."""
