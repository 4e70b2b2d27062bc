"""An encoder without a model, a corpus for it, and a build that a test can kill.

Run: python dense_sample.py CORPUS OUT KIND [--kill STAGE ROWS] [--largest-file BYTES] [--encoded FILE]
"""

import argparse
import os
import resource
import signal
import sys
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from retriever_sample import write_corpus

from retriever.encoders.base import Vectors
from retriever.errors import RetrieverError
from retriever.types import Document

DIMENSION = 32


class WordEncoder:
    """A text is the mean of its words' random vectors, so texts that share words are near.

    Args:
        log: a file that gets a line with the number of passages of every call.
    """

    def __init__(self, log: Path | None = None) -> None:
        self.dimension = DIMENSION
        self.spec: dict[str, Any] = {"model": "words"}
        self._log = log
        self.passages = 0

    def encode_queries(self, queries: Sequence[str]) -> Vectors:
        return np.stack([_mean(query) for query in queries])

    def encode_passages(self, documents: Sequence[Document]) -> Vectors:
        self.passages += len(documents)
        if self._log:
            with self._log.open("a") as file:
                file.write(f"{len(documents)}\n")
        return np.stack([_mean(f"{document.title} {document.text}") for document in documents])


def write_word_corpus(path: Path, count: int) -> Path:
    """Passages of five words out of 500; the id is the row."""
    drawn = np.random.default_rng(0).integers(500, size=(count, 5))
    texts = (" ".join(f"w{word}" for word in row) for row in drawn)
    return write_corpus(path, {str(row): (f"t{row}", text) for row, text in enumerate(texts)})


def _mean(text: str) -> Vectors:
    total = np.sum([_word(word) for word in text.lower().split()] or [np.zeros(DIMENSION)], axis=0)
    return np.asarray(total / max(float(np.linalg.norm(total)), 1e-9), np.float32)


@cache
def _word(word: str) -> Vectors:
    return np.random.default_rng(zlib.crc32(word.encode())).standard_normal(DIMENSION, dtype=np.float32)


def main() -> None:
    from retriever.indexes.dense import build_dense, inverted

    parser = argparse.ArgumentParser()
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("kind")
    parser.add_argument("--kill", nargs=2, default=("never", "0"))
    parser.add_argument("--largest-file", type=int)
    parser.add_argument("--encoded", type=Path)
    given = parser.parse_args()
    if given.largest_file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (given.largest_file, given.largest_file))
    # Four blocks of the 5,000 passages that the tests give.
    inverted.BLOCK_BYTES = 1500 * DIMENSION * 4

    def report(stage: str, done: int, total: int) -> None:
        print(stage, done, flush=True)
        if stage.startswith(given.kill[0]) and done >= int(given.kill[1]):
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        build_dense(given.corpus, given.out, WordEncoder(given.encoded), kind=given.kind, progress=report)
    except RetrieverError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
