"""Corpora: read from files, validated, and kept memory-mapped."""

from retriever.corpus.read import read_corpus

__all__ = ["read_corpus"]
