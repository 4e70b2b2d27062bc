"""Sharded indexes: several index folders of one type, over parts of one corpus, searched as one.

The folder holds only a manifest that names the folders of the shards (see `sharding.py`). Opened in one process, all
shards are searched there; in a cluster each has processes of its own (see `retriever.service.ray_app`). The best
passages of all shards are merged by score, equal scores by id.

Dense queries are encoded once, for all shards. Scores of flat and HNSW indexes are the same as without shards; IVF
types quantize each shard by itself. BM25 weighs a word by how many passages of the shard hold it, so that its scores
differ a little from those of one index, the less the larger the shards are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np

from retriever.encoders.base import Encoder, Vectors
from retriever.errors import BadIndex, BadRequest
from retriever.indexes.base import Index
from retriever.limits import check_topk, clean_queries
from retriever.manifest import Manifest, read_manifest
from retriever.types import Document, Passage

Questions: TypeAlias = Sequence[str] | Vectors
"""Queries, or where the index is dense, their vectors, shape (queries, dimension)."""


class Shard(Protocol):
    """One shard, in this process or elsewhere."""

    def ask(self, questions: Questions, topk: int) -> Future[list[list[Passage]]]:
        """The best passages of each question; may be called from any thread, several may be under way."""

    def documents(self, ids: Sequence[str]) -> list[Document | None]:
        """See `Index.documents`."""

    def close(self) -> None:
        """Gives back what is held; safe to call twice."""


class ShardedIndex(Index):
    """Loaded shards searched as one index; closes them when it is closed.

    Args:
        folder: the index folder.
        manifest: its manifest.
        shards: one for each that the manifest names, in that order.
        encoder: of queries, where the shards are dense; else None.
    """

    def __init__(self, folder: Path, manifest: Manifest, shards: Sequence[Shard], encoder: Encoder | None) -> None:
        super().__init__(folder, manifest)
        self._shards = shards
        self._encoder = encoder
        self._encoding = threading.Lock()
        # Encodes, waits and merges; more batches than this are never under way at once in practice.
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="retriever-merge")

    @classmethod
    def open(cls, folder: Path, open_index: Callable[[Path], Index]) -> ShardedIndex:
        """Opens all shards in this process.

        Args:
            folder: a folder that `join_shards` or `build_shards` made.
            open_index: opens the folder of a shard that is not dense.

        Raises:
            BadIndex: the manifest or a shard is missing or broken, or they contradict each other.
            BadModel: the encoder is missing or is not the one that the shards were built with.
        """
        manifest = read_manifest(folder)
        folders = shard_folders(folder, manifest)
        with ExitStack() as opened:
            shards = []
            for shard in folders:
                shards.append(LocalShard(shard, open_index))
                opened.callback(shards[-1].close)
            index = cls(folder, manifest, shards, open_encoder(manifest))
            opened.pop_all()
        return index

    def submit(self, queries: Sequence[str], topk: int) -> Future[list[list[Passage]]]:
        """See `Index.submit`; every shard is asked at once."""
        check_topk(topk)
        return self._pool.submit(self._search, clean_queries(queries), topk)

    def documents(self, ids: Sequence[str]) -> list[Document | None]:
        """See `Index.documents`; every shard is asked for what those before it do not hold."""
        found: dict[str, Document] = {}
        for shard in self._shards:
            missing = [key for key in ids if key not in found]
            found.update((document.id, document) for document in shard.documents(missing) if document)
        return [found.get(key) for key in ids]

    def close(self) -> None:
        """Closes all shards."""
        self._pool.shutdown()
        for shard in self._shards:
            shard.close()

    def _search(self, queries: list[str], topk: int) -> list[list[Passage]]:
        if not queries:
            return []
        questions = self._questions(queries)
        answers = [shard.ask(questions, topk) for shard in self._shards]
        by_shard = [answer.result() for answer in answers]
        return [sorted(chain.from_iterable(ranked), key=_rank)[:topk] for ranked in zip(*by_shard, strict=True)]

    def _questions(self, queries: list[str]) -> Questions:
        if self._encoder is None:
            return queries
        with self._encoding:
            return self._encoder.encode_queries(queries)


class LocalShard:
    """A shard in this process; where it is dense, without the encoder."""

    def __init__(self, folder: Path, open_index: Callable[[Path], Index]) -> None:
        manifest = read_manifest(folder)
        if manifest.type == "dense":
            from retriever.indexes.dense import DenseIndex

            dimension = manifest.parameter("dimension", int, folder)
            dense = DenseIndex.open(folder, encoder=NoEncoder(dimension))
            self._submit: Callable[[Any, int], Future[list[list[Passage]]]] = dense.submit_vectors
            self._probe: Questions = np.zeros((1, dimension), np.float32)
            self._index: Index = dense
        else:
            self._index = open_index(folder)
            self._submit, self._probe = self._index.submit, ["health"]

    def ask(self, questions: Questions, topk: int) -> Future[list[list[Passage]]]:
        """See `Shard.ask`."""
        return self._submit(questions, topk)

    def probe(self) -> Future[list[list[Passage]]]:
        """Asks a question that any shard can answer."""
        return self._submit(self._probe, 1)

    def documents(self, ids: Sequence[str]) -> list[Document | None]:
        """See `Index.documents`."""
        return self._index.documents(ids)

    def close(self) -> None:
        """Closes the index."""
        self._index.close()


class NoEncoder:
    """In place of the encoder of a dense shard, whose questions are vectors."""

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension

    @property
    def dimension(self) -> int:
        """Components of a vector."""
        return self._dimension

    @property
    def spec(self) -> dict[str, Any]:
        """Says that there is no model."""
        return {}

    def encode_queries(self, queries: Sequence[str]) -> Vectors:
        """Never: the index before the shards has done so."""
        raise BadRequest("A shard takes vectors, not queries; ask the sharded index.")

    def encode_passages(self, documents: Sequence[Document]) -> Vectors:
        """Never: the shard is built."""
        raise BadRequest("A shard encodes no passages.")


def open_encoder(manifest: Manifest) -> Encoder | None:
    """The encoder of a sharded index, None where its shards need none.

    Raises:
        BadModel: it is missing or is not the one that the shards were built with.
    """
    if not manifest.encoder:
        return None
    from retriever.encoders import load_encoder

    return load_encoder(manifest.encoder)


def shard_folders(folder: Path, manifest: Manifest) -> list[Path]:
    """The folders of the shards that a sharded index names, in their order.

    Raises:
        BadIndex: it names none, one is no index, or together they hold another number of passages than it says.
    """
    names = manifest.parameter("shards", list, folder)
    if not names or not all(isinstance(name, str) for name in names):
        raise BadIndex(f'{folder}: parameter "shards" must be a list of folders; build the index again.')
    folders = [folder / name for name in names]
    held, said = sum(read_manifest(shard).passages for shard in folders), manifest.passages
    if held != said:
        raise BadIndex(f"{folder} says {said} passages, its shards hold {held}; join them again.")
    return folders


def _rank(passage: Passage) -> tuple[float, str]:
    return -passage.score, passage.id
