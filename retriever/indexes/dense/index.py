"""A dense index: an encoder, a FAISS file and a corpus store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from retriever.corpus import CorpusStore, open_store
from retriever.encoders.base import Encoder, Vectors
from retriever.errors import BadIndex
from retriever.indexes.base import Index
from retriever.indexes.dense.build import CORPUS
from retriever.indexes.dense.construct import INDEX
from retriever.indexes.dense.encoded import checked
from retriever.indexes.dense.engine import Engine, open_engine
from retriever.limits import check_topk, clean_queries
from retriever.manifest import Manifest, read_manifest
from retriever.types import Document, Passage


class DenseIndex(Index):
    """A loaded dense index; its file and its corpus are mapped, so processes on one machine share them."""

    def __init__(self, folder: Path, manifest: Manifest, engine: Engine, store: CorpusStore, encoder: Encoder) -> None:
        super().__init__(folder, manifest)
        self._engine = engine
        self._store = store
        self._encoder = encoder
        self._thread = ThreadPoolExecutor(1, "retriever-dense")

    @classmethod
    def open(
        cls, folder: Path, *, encoder: Encoder | None = None, search: Mapping[str, float] | None = None
    ) -> DenseIndex:
        """Loads the index of a folder that `build_dense` or `adopt` made.

        Args:
            folder: the index folder.
            encoder: of queries; that of the manifest if absent.
            search: FAISS's search parameters, such as `nprobe` or `efSearch`, in place of those of the manifest.

        Raises:
            BadIndex: a file is missing, cut short, or belongs to another index or corpus.
            BadModel: the encoder is missing or is not the one that the index was built with.
            BadRequest: the index has no such search parameter.
        """
        manifest = read_manifest(folder)
        if manifest.type != "dense":
            raise BadIndex(f'{folder} is an index of type "{manifest.type}"; this needs one of type "dense".')
        manifest.check_files(folder)
        parameters = manifest.parameter("search", dict, folder) | dict(search or {})
        with ExitStack() as opened:
            store = open_store(folder / CORPUS)
            opened.callback(store.close)
            if (store.sha256, len(store)) != (manifest.corpus_sha256, manifest.passages):
                raise BadIndex(f"{folder / CORPUS} is another corpus than the manifest's; build the index again.")
            engine = open_engine(folder / INDEX, parameters)
            opened.callback(engine.close)
            if engine.count != manifest.passages:
                said = manifest.passages
                raise BadIndex(f"{folder} holds {engine.count} vectors, its manifest says {said}; build it again.")
            encoder = encoder or _load_encoder(manifest)
            if encoder.dimension != engine.dimension:
                raise BadIndex(
                    f"{folder} holds vectors of {engine.dimension} numbers, its encoder gives {encoder.dimension}."
                )
            opened.pop_all()
        return cls(folder, manifest, engine, store, encoder)

    def submit(self, queries: Sequence[str], topk: int) -> Future[list[list[Passage]]]:
        """See `Index.submit`; batches are answered in order."""
        check_topk(topk)
        return self._thread.submit(self._search, clean_queries(queries), min(topk, self.manifest.passages))

    def submit_vectors(self, vectors: Vectors, topk: int) -> Future[list[list[Passage]]]:
        """`submit` for queries that are encoded already, shape (queries, dimension)."""
        check_topk(topk)
        return self._thread.submit(self._rank, vectors, min(topk, self.manifest.passages))

    def documents(self, ids: Sequence[str]) -> list[Document | None]:
        """See `Index.documents`."""
        rows = self._store.rows(ids)
        found = iter(self._store.documents([row for row in rows if row is not None]))
        return [None if row is None else next(found) for row in rows]

    def close(self) -> None:
        """See `Index.close`."""
        self._thread.shutdown()
        self._engine.close()
        self._store.close()

    def _search(self, queries: list[str], topk: int) -> list[list[Passage]]:
        if not queries:
            return []
        return self._rank(checked(self._encoder.encode_queries(queries), len(queries), self._encoder), topk)

    def _rank(self, vectors: Vectors, topk: int) -> list[list[Passage]]:
        scores, rows = self._engine.search(vectors, topk)
        return [
            self._passages(kept[kept >= 0].tolist(), values[kept >= 0].tolist())
            for kept, values in zip(rows, scores, strict=True)
        ]

    def _passages(self, rows: list[int], scores: list[float]) -> list[Passage]:
        documents = self._store.documents(rows)
        return [
            Passage(document.id, document.title, document.text, score)
            for document, score in zip(documents, scores, strict=True)
        ]


def _load_encoder(manifest: Manifest) -> Encoder:
    from retriever.encoders import load_encoder

    return load_encoder(manifest.encoder)
