"""Retrieval quality against gold passages."""
