"""What every index offers, whatever its type."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

from retriever.manifest import Manifest
from retriever.types import Document, Passage


class Index(ABC):
    """A loaded index. Get one with `retriever.indexes.open_index`; close it when done."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest

    def search(self, queries: Sequence[str], topk: int) -> list[list[Passage]]:
        """The best `topk` passages of each query, best first; fewer where fewer match.

        The answer to a query is the same alone and in any batch. Characters after the first 4,096 are ignored.

        Raises:
            BadRequest: a query is not a string, or `topk` is not from 1 to 1,000.
            RetrieverError: the engine failed.
        """
        return self.submit(queries, topk).result()

    @abstractmethod
    def submit(self, queries: Sequence[str], topk: int) -> Future[list[list[Passage]]]:
        """`search` as a future; may be called from any thread, several may be under way."""

    @abstractmethod
    def documents(self, ids: Sequence[str]) -> list[Document | None]:
        """The passages with these ids, None for an id that the index does not hold. From any thread."""

    @abstractmethod
    def close(self) -> None:
        """Gives back files and memory; safe to call twice."""
