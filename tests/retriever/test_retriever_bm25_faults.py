"""Builds that cannot finish: the disk is full, the process is killed. In child processes, as it happens."""

import os
import re
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from retriever_sample import write_corpus

from retriever.indexes import open_index
from retriever.indexes.bm25 import build_index

PASSAGES = {str(n): (f"Title {n}", f"word{n} " + " ".join(str(n * k) for k in range(1, 40))) for n in range(3000)}

# A limit on the size of a file stands in for a small disk.
BUILD_ON_A_SMALL_DISK = """
import resource, sys
from pathlib import Path
from retriever.errors import RetrieverError
from retriever.{module} import {function}
from retriever.folder import new_folder
from retriever.indexes import lucene
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    {call}
except RetrieverError as error:
    print(type(error).__name__, error)
"""
BM25 = {
    "module": "indexes.bm25",
    "function": "build_index",
    "call": "build_index(Path(sys.argv[1]), Path(sys.argv[2]))",
}
STORE = {
    "module": "corpus",
    "function": "build_store",
    "call": "\n    with new_folder(Path(sys.argv[2]), False) as building: build_store(Path(sys.argv[1]), building)",
}
BUILD_TELLING = """
import sys
from pathlib import Path
from retriever.indexes.bm25 import build_index
build_index(Path(sys.argv[1]), Path(sys.argv[2]), progress=lambda *_: print("progress", flush=True))
"""


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def corpus_file(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "corpus.jsonl", PASSAGES)


@pytest.mark.parametrize(
    ("builder", "limit"),
    [
        pytest.param(BM25, 10_000, id="bm25, while adding", marks=pytest.mark.slow),
        pytest.param(BM25, 500_000, id="bm25, while merging", marks=pytest.mark.slow),
        pytest.param(STORE, 10_000, id="store"),
    ],
)
def test_a_full_disk_is_one_sentence_and_leaves_nothing(corpus_file: Path, builder: dict[str, str], limit: int) -> None:
    out = corpus_file.parent / "index"
    command = [sys.executable, "-c", BUILD_ON_A_SMALL_DISK.format(**builder), corpus_file, out, str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    causes = r"(File too large|Lucene wrote \d+ of 3000 passages, in \d segments instead of 1)"
    sentence = rf"BadIndex {out} was not built \({causes}\); free disk space or choose another --out\.\n"
    assert re.fullmatch(sentence, done.stdout)
    assert names(corpus_file.parent) == {"corpus.jsonl"}


@pytest.mark.slow
def test_a_killed_build_leaves_no_index_and_the_next_one_succeeds(corpus_file: Path) -> None:
    out = corpus_file.parent / "index"
    command = [sys.executable, "-c", BUILD_TELLING, corpus_file, out]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        assert child.stdout.readline() == "progress\n"
        os.kill(child.pid, signal.SIGKILL)
    assert names(corpus_file.parent) == {"corpus.jsonl", ".index.building", ".index.lock"}
    build_index(corpus_file, out)
    assert names(corpus_file.parent) == {"corpus.jsonl", "index"}
    with closing(open_index(out)) as index:
        assert [passage.id for passage in index.search(["word2999"], 3)[0]] == ["2999"]
