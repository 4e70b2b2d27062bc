"""Benchmarks of the retriever, side by side with a stated baseline."""
