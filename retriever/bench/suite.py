"""The figures of the service over one synthetic corpus, each beside its baseline."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from retriever.bench import coalescing, synthetic
from retriever.bench.processes import server
from retriever.bench.serving import Command, compare, write_queries
from retriever.bench.table import TableEncoder
from retriever.encoders.base import Vectors
from retriever.errors import BadRequest

DIMENSION = 384
QUERIES = 5_000
_PLAIN = ("--cache", "0", "--no-access-log")


class Suite:
    """Makes what it measures in a folder, or finds it there from an earlier run.

    Args:
        work: folder of corpora and indexes.
        passages: size of the corpus.
        repeats: alternating repeats of each measurement.
        seconds: how long each puts load on a server.
        clients: concurrent clients, one query per request.
    """

    def __init__(self, work: Path, passages: int, *, repeats: int, seconds: float, clients: int) -> None:
        work.mkdir(parents=True, exist_ok=True)
        self._work = work
        self._passages = passages
        self._load: dict[str, Any] = {"clients": clients, "seconds": seconds, "repeats": repeats}
        self.measurements: dict[str, Callable[[], dict[str, Any]]] = {
            "http_bm25": self.http_bm25,
            "http_flat": lambda: self.http_dense("flat"),
            "http_ivf_sq8": lambda: self.http_dense("ivf-sq8"),
            "coalescing": self.coalescing,
            "ray_http": self.ray_http,
            "cold_start": self.cold_start,
            "memory": self.memory,
        }

    def run(self, only: Sequence[str] | None = None) -> dict[str, Any]:
        """Measures everything, or what is named.

        Raises:
            BadRequest: a name is unknown.
        """
        for name in only or ():
            if name not in self.measurements:
                raise BadRequest(f"only must be one of {', '.join(self.measurements)}, found {name!r}.")
        figures = {name: self.measurements[name]() for name in only or self.measurements}
        machine = {"cores": len(os.sched_getaffinity(0)), "platform": platform.platform()}
        return {"machine": machine, "passages": self._passages, **self._load, **figures}

    def http_bm25(self) -> dict[str, Any]:
        """The single process against the usual design."""
        commands: dict[str, Command] = {
            "single_process": ("retriever", "serve", str(self._bm25), *_PLAIN),
            "usual_design": ("retriever.bench.baseline", "bm25", str(self._bm25 / "lucene")),
        }
        return compare(commands, self._questions, **self._load)

    def http_dense(self, kind: str) -> dict[str, Any]:
        """Likewise, with vectors in place of an encoder."""
        index = self._dense(kind)
        commands: dict[str, Command] = {
            "single_process": ("retriever.bench.table", str(index), str(self._query_vectors)),
            "usual_design": (
                "retriever.bench.baseline",
                "dense",
                *map(str, (index, self._corpus, self._query_vectors)),
            ),
        }
        return compare(commands, self._numbers, **self._load)

    def coalescing(self) -> dict[str, Any]:
        """Concurrent searches of one process, through each client, against the engine alone."""
        queries = synthetic.queries(self._corpus, QUERIES)
        load = self._load
        return coalescing.compare(
            self._bm25, queries, searches=load["clients"], seconds=load["seconds"], repeats=load["repeats"]
        )

    def ray_http(self) -> dict[str, Any]:
        """Ray Serve over HTTP, beside the single process."""
        commands: dict[str, Command] = {
            "ray_serve": ("retriever", "serve", str(self._bm25), "--ray", *_PLAIN),
            "single_process": ("retriever", "serve", str(self._bm25), *_PLAIN),
        }
        return compare(commands, self._questions, **self._load)

    def cold_start(self) -> dict[str, Any]:
        """Seconds from the start of the process until `/ready` answers 200."""
        seconds = []
        for _ in range(self._load["repeats"]):
            with server("retriever", "serve", self._bm25, *_PLAIN) as running:
                seconds.append(round(running.seconds_to_ready, 2))
        return {"seconds": seconds, "median": float(np.median(seconds))}

    def memory(self) -> dict[str, Any]:
        """One replica and two over the same index, in processes of their own."""
        from retriever.bench.memory import measure_replicas

        flat = ("retriever.bench.table", str(self._dense("flat")), str(self._query_vectors))
        return {
            "bm25": measure_replicas(("retriever", "serve", str(self._bm25), *_PLAIN), self._questions),
            "flat": measure_replicas(flat, self._numbers),
        }

    @cached_property
    def _corpus(self) -> Path:
        return self._made("corpus.jsonl", lambda path: synthetic.write_passages(path, self._passages))

    @cached_property
    def _questions(self) -> Path:
        return write_queries(self._work / "queries.json", synthetic.queries(self._corpus, QUERIES))

    @cached_property
    def _numbers(self) -> Path:
        return write_queries(self._work / "numbers.json", [str(number) for number in range(QUERIES)])

    @cached_property
    def _bm25(self) -> Path:
        from retriever.indexes.bm25 import build_index

        return self._made("bm25", lambda path: build_index(self._corpus, path))

    @cached_property
    def _vectors(self) -> Path:
        return self._made("vectors.npy", lambda path: _save(path, self._all_vectors[: self._passages]))

    @cached_property
    def _query_vectors(self) -> Path:
        return self._made("query_vectors.npy", lambda path: _save(path, self._all_vectors[self._passages :]))

    @property
    def _all_vectors(self) -> Vectors:
        return synthetic.vectors(self._passages + QUERIES, DIMENSION)

    def _dense(self, kind: str) -> Path:
        from retriever.indexes.dense import build_dense

        encoder = TableEncoder(np.load(self._query_vectors))
        return self._made(kind, lambda path: build_dense(self._corpus, path, encoder, kind=kind, vectors=self._vectors))

    def _made(self, name: str, make: Callable[[Path], object]) -> Path:
        path = self._work / name
        if not path.exists():
            making = self._work / f"making-{name}"
            make(making)
            making.rename(path)
        return path


def _save(path: Path, vectors: Vectors) -> None:
    with path.open("wb") as file:
        np.save(file, vectors)
