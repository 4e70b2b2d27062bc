"""Many synthetic vectors in an IVF-PQ index: what building takes, what it finds, how fast.

Run: python -m retriever.bench.vectors --count 10000000 --dimension 128
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from retriever.bench import synthetic
from retriever.encoders.base import Vectors
from retriever.errors import BadRequest
from retriever.indexes.dense.construct import INDEX, build_index
from retriever.indexes.dense.engine import Engine, open_engine
from retriever.indexes.dense.recipe import choose_recipe
from retriever.indexes.dense.vectors import open_vectors

_CHUNK = 250_000


def bench_vectors(folder: Path, count: int, dimension: int, kind: str, *, seconds: float = 3.0) -> dict[str, Any]:
    """Writes the vectors, builds the index of them and searches it.

    Args:
        folder: where the vectors (4 bytes a number) and the index lie.
        count: number of vectors.
        dimension: numbers in each.
        kind: see `recipe.choose_recipe`.
        seconds: how long each size of batch is searched.

    Returns:
        Seconds of each stage, bytes, peak resident memory of this process until the index is built, recall@10 against
        the exact answer, and queries per second and milliseconds per call by batch size.
    """
    _check_disk(folder, 5 * count * dimension)
    source = folder / "vectors.npy"
    _write(source, count, dimension)
    chosen = choose_recipe(kind, count, dimension)
    started = time.perf_counter()

    def report(stage: str, done: int, total: int) -> None:
        sys.stderr.write(f"{time.perf_counter() - started:7.0f} s  {stage} {done:,} of {total:,}\n")

    figures = build_index(open_vectors(source), chosen, folder, report)
    build_seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    engine = open_engine(folder / INDEX, chosen.search)
    queries = _queries(dimension)
    speed = {str(batch): _speed(engine, queries, batch, seconds) for batch in (1, 64, 512)}
    engine.close()
    return {
        "count": count,
        "dimension": dimension,
        "factory": chosen.factory,
        "search": chosen.search,
        "build_seconds": round(build_seconds, 1),
        "bytes": (folder / INDEX).stat().st_size,
        "peak_resident_gib": round(peak / 2**20, 2),
        **figures,
        "speed": speed,
    }


def _check_disk(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise BadRequest(f"{folder} has {free / 1e9:.1f} GB free, the vectors and the index need {needed / 1e9:.1f}.")


def _write(path: Path, count: int, dimension: int) -> None:
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (count, dimension)}
        np.lib.format.write_array_header_1_0(file, header)  # type: ignore[no-untyped-call]
        for number, start in enumerate(range(0, count, _CHUNK)):
            rows = min(_CHUNK, count - start)
            file.write(synthetic.around(synthetic.centres(dimension), rows, seed=number).data)


def _queries(dimension: int) -> Vectors:
    return synthetic.around(synthetic.centres(dimension), 512, seed=-1)


def _speed(engine: Engine, queries: Vectors, batch: int, seconds: float) -> dict[str, float]:
    calls: list[float] = []
    started = time.perf_counter()
    while (asked := time.perf_counter()) < started + seconds:
        first = len(calls) * batch % len(queries)
        engine.search(queries[first : first + batch], 10)
        calls.append(time.perf_counter() - asked)
    return {
        "per_second": round(batch * len(calls) / sum(calls), 1),
        "p50_ms": round(1000 * float(np.median(calls)), 2),
        "p99_ms": round(1000 * float(np.percentile(calls, 99)), 2),
    }


def main() -> None:
    """Prints the figures as one JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=10_000_000)
    parser.add_argument("--dimension", type=int, default=128)
    parser.add_argument("--kind", default="IVF4096,PQ32", help="a type of dense index, or a FAISS factory string")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = bench_vectors(Path(folder), given.count, given.dimension, given.kind)
    json.dump(figures, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
