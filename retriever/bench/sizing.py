"""Memory and processor time of an index of any size, computed from what was measured at 200,000 passages.

Run: python -m retriever.bench.sizing --passages 21015324 --dimension 768 --shards 4
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

_MEASURED_PASSAGES = 200_000
_MEASURED_DIMENSION = 384


@dataclass(frozen=True, slots=True)
class Rates:
    """What one core did, in processor time, over 200,000 passages and vectors of 384 numbers.

    Attributes:
        flat_ns: per number of a flat index, queries in batches of 512.
        far_ns: per number of vectors that lie outside the processor's cache, one query at a time.
        sq8_ns: per code byte (one a number) of the lists that are probed.
        pq_ns: per code byte of the lists that are probed.
        hnsw_ms: per query, 32 links, efSearch 256.
        bm25_ms: per query of nine words, top 3.
        bm25_ms_per_million: what each further million passages added, from 200,000 to 1,000,000.
        bm25_bytes: index bytes per byte of the corpus, the stored passages included.
    """

    flat_ns: float = 0.027
    far_ns: float = 0.25
    sq8_ns: float = 0.13
    pq_ns: float = 0.55
    hnsw_ms: float = 0.75
    bm25_ms: float = 1.55
    bm25_ms_per_million: float = 0.94
    bm25_bytes: float = 0.9


MEASURED = Rates()


@dataclass(frozen=True, slots=True)
class Need:
    """What one shard needs: memory for its mapped index in GB of 10⁹ bytes, processor time for one query in ms."""

    index_gb: float
    cpu_ms: float

    def __str__(self) -> str:
        return f"{self.index_gb:.3g} GB, {self.cpu_ms:.3g} ms"


def flat(passages: int, dimension: int, rates: Rates = MEASURED) -> Need:
    """Every number of every vector is kept in 4 bytes and multiplied.

    >>> print(flat(200_000, 384))
    0.307 GB, 2.07 ms
    """
    numbers = passages * dimension
    return Need(4 * numbers / 1e9, numbers * rates.flat_ns / 1e6)


def hnsw(passages: int, dimension: int, links: int = 32, rates: Rates = MEASURED) -> Need:
    """The vectors, two times `links` neighbours of 4 bytes each, and a sixteenth of that for upper layers and offsets.

    A search visits a number of vectors that grows with the logarithm of the passages (Malkov and Yashunin 2018,
    section 4.2.1). Measured: 0.362 GB, 0.75 ms.

    >>> print(hnsw(200_000, 384))
    0.362 GB, 0.75 ms
    """
    growth = math.log(passages) / math.log(_MEASURED_PASSAGES) * dimension / _MEASURED_DIMENSION
    return Need(passages * (4 * dimension + 8.5 * links) / 1e9, rates.hnsw_ms * growth)


def ivf(
    passages: int, dimension: int, lists: int, probes: int, code_bytes: int | None = None, rates: Rates = MEASURED
) -> Need:
    """A code and an id of 8 bytes per vector, and one centroid per list.

    Args:
        passages: vectors in the shard.
        dimension: numbers in a vector.
        lists: inverted lists, taken as equally long.
        probes: lists that a query searches.
        code_bytes: of a product quantizer's code; None for one byte a number (SQ8).
        rates: what was measured.

    Measured for SQ8: 0.080 GB, 0.17 ms with 8 probes and 0.71 ms with 64; for PQ48: 0.013 GB, 0.43 ms with 64.

    >>> print(ivf(200_000, 384, lists=1024, probes=8))
    0.08 GB, 0.176 ms
    >>> print(ivf(200_000, 384, lists=1024, probes=64))
    0.08 GB, 0.722 ms
    >>> print(ivf(200_000, 384, lists=1024, probes=64, code_bytes=48))
    0.0128 GB, 0.428 ms
    """
    code, code_ns = (dimension, rates.sq8_ns) if code_bytes is None else (code_bytes, rates.pq_ns)
    centroids = lists * dimension
    cpu_ns = centroids * rates.far_ns + passages * probes / lists * code * code_ns
    return Need((passages * (code + 8) + 4 * centroids) / 1e9, cpu_ns / 1e6)


def bm25(passages: int, corpus_gb: float, rates: Rates = MEASURED) -> Need:
    """The time is a bound: Lucene skips more of the passages the more there are.

    >>> print(bm25(1_000_000, 0.667))
    0.6 GB, 2.3 ms
    """
    further = max(0, passages - _MEASURED_PASSAGES) / 1e6
    return Need(rates.bm25_bytes * corpus_gb, rates.bm25_ms + further * rates.bm25_ms_per_million)


def table(passages: int, dimension: int, shards: int, corpus_gb: float) -> str:
    """A Markdown table of the types as they are built by default: memory in all, and what a query costs a shard.

    >>> print(table(200_000, 384, 1, 0.134).splitlines()[3])
    | flat | 0.307 | 0.307 | 2.07 | 482 |
    """
    part = passages // shards
    lists = 2 ** int(math.log2(4 * math.sqrt(part)))
    probes = int(max(128, 2 * math.sqrt(lists)))
    needs = {
        "BM25 (with the passages)": bm25(part, corpus_gb / shards),
        "flat": flat(part, dimension),
        "HNSW32, efSearch 256": hnsw(part, dimension),
        f"IVF{lists},SQ8, nprobe {probes}": ivf(part, dimension, lists, probes),
        f"IVF{lists},PQ{dimension // 8}, nprobe {probes}": ivf(part, dimension, lists, probes, dimension // 8),
    }
    head = "| index | GB in all | GB per shard | CPU ms per query and shard | queries/s per core of a shard |"
    rows = [
        f"| {name} | {need.index_gb * shards:.3g} | {need.index_gb:.3g} | {need.cpu_ms:.3g} | {1e3 / need.cpu_ms:.3g} |"
        for name, need in needs.items()
    ]
    return "\n".join([head, "|---|---|---|---|---|", *rows])


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--passages", type=int, required=True)
    parser.add_argument("--dimension", type=int, default=768)
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--corpus-gb", type=float, help="default: 670 bytes a passage")
    given = parser.parse_args()
    corpus_gb = given.corpus_gb or given.passages * 670 / 1e9
    print(table(given.passages, given.dimension, given.shards, corpus_gb))  # noqa: T201  the result


if __name__ == "__main__":
    main()
