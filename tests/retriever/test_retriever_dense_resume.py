"""Dense builds that are killed, or run out of disk, and go on."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import dense_sample
import pytest
from dense_sample import WordEncoder, write_word_corpus

from retriever.errors import BadIndex, BadModel
from retriever.indexes.dense import DenseIndex, build_dense

PASSAGES = 5000


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_word_corpus(tmp_path_factory.mktemp("words") / "corpus.jsonl", PASSAGES)


def build(corpus: Path, out: Path, kind: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, dense_sample.__file__, str(corpus), str(out), kind, *options]
    return subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )


def files(folder: Path) -> dict[str, bytes]:
    """All files but the manifest, which holds times."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json")
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.fixture(scope="module")
def uninterrupted(words: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    folder = tmp_path_factory.mktemp("uninterrupted")
    for kind in ("flat", "ivf-sq8", "IVF16,PQ8x4"):
        done = build(words, folder / kind, kind)
        assert done.returncode == 0, done.stderr
    return {kind: files(folder / kind) for kind in ("flat", "ivf-sq8", "IVF16,PQ8x4")}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "stage", "rows"),
    [
        ("flat", "reading", "1"),
        ("flat", "encoding", "2048"),
        ("flat", "encoding", "5000"),
        ("ivf-sq8", "encoding", "4096"),
        ("ivf-sq8", "training", "0"),
        ("ivf-sq8", "adding", "4000"),
        ("ivf-sq8", "measuring", "0"),
        ("IVF16,PQ8x4", "adding", "5000"),
    ],
)
def test_a_killed_build_goes_on_to_the_same_files(
    uninterrupted: dict[str, dict[str, bytes]], words: Path, tmp_path: Path, kind: str, stage: str, rows: str
) -> None:
    encoded = tmp_path / "encoded"
    killed = build(words, tmp_path / "index", kind, "--kill", stage, rows, "--encoded", str(encoded))
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "index").exists()
    resumed = build(words, tmp_path / "index", kind, "--encoded", str(encoded))
    assert resumed.returncode == 0, resumed.stderr
    assert files(tmp_path / "index") == uninterrupted[kind]
    assert {path.name for path in tmp_path.iterdir()} == {"index", "encoded"}
    # The chunk that was under way when the process ended had been noted: none is encoded again.
    assert encoded.read_text().split() == ["2048", "2048", "904"]
    if stage == "adding":
        first = next(line for line in resumed.stdout.splitlines() if line.startswith("adding"))
        assert first == {"4000": "adding 4500", "5000": "adding 5000"}[rows]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "largest_file", "encoded_before"),
    [("flat", 400_000, 2048), ("HNSW32", 650_000, 5000), ("ivf-sq8", 150_000, 0), ("IVF16,Flat", 650_000, 5000)],
)
def test_a_full_disk_is_one_sentence_and_what_is_encoded_stays(
    words: Path, tmp_path: Path, kind: str, largest_file: int, encoded_before: int
) -> None:
    encoded = tmp_path / "encoded"
    encoded.touch()
    options = ("--encoded", str(encoded))
    full = build(words, tmp_path / "index", kind, "--largest-file", str(largest_file), *options)
    assert full.returncode == 1
    assert (
        full.stderr
        == f"{tmp_path / 'index'} was not built (File too large); free disk space or choose another --out.\n"
    )
    assert not (tmp_path / "index").exists()
    assert sum(map(int, encoded.read_text().split())) >= encoded_before
    encoded.write_text("")
    assert build(words, tmp_path / "index", kind, *options).returncode == 0
    assert sum(map(int, encoded.read_text().split())) == PASSAGES - encoded_before
    index = DenseIndex.open(tmp_path / "index", encoder=WordEncoder())
    assert len(index.search(["w1 w2"], 10)[0]) == 10
    index.close()


class Failing(WordEncoder):
    """Fails once it has encoded so many passages."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self._after = after

    def encode_passages(self, documents):  # type: ignore[no-untyped-def]
        if self.passages >= self._after:
            raise BadModel("The model is gone.")
        return super().encode_passages(documents)


def interrupted(words: Path, out: Path, kind: str = "flat") -> None:
    with pytest.raises(BadModel, match="gone"):
        build_dense(words, out, Failing(after=2048), kind=kind)


def test_a_failed_build_goes_on(words: Path, tmp_path: Path) -> None:
    interrupted(words, tmp_path / "index")
    encoder = WordEncoder()
    manifest = build_dense(words, tmp_path / "index", encoder, kind="flat")
    assert (manifest.passages, encoder.passages) == (PASSAGES, PASSAGES - 2048)


def test_a_build_with_other_settings_begins_anew(words: Path, tmp_path: Path) -> None:
    interrupted(words, tmp_path / "index")
    encoder = WordEncoder()
    build_dense(words, tmp_path / "index", encoder, kind="IVF8,Flat")
    assert encoder.passages == PASSAGES
    interrupted(words, tmp_path / "other")
    encoder.spec = {"model": "other words"}
    build_dense(words, tmp_path / "other", encoder, kind="flat")
    assert encoder.passages == 2 * PASSAGES


def test_a_build_of_a_corpus_that_changed_begins_anew(words: Path, tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    copy = folder / "part.jsonl"
    copy.write_bytes(words.read_bytes())
    interrupted(folder, tmp_path / "index")
    copy.write_text(copy.read_text() + '{"id": "new", "contents": "w1 w2"}\n')
    encoder = WordEncoder()
    assert build_dense(folder, tmp_path / "index", encoder, kind="flat").passages == PASSAGES + 1
    assert encoder.passages == PASSAGES + 1


def test_rows_beyond_the_last_checkpoint_are_cut_off(words: Path, tmp_path: Path) -> None:
    build_dense(words, tmp_path / "whole", WordEncoder(), kind="flat")
    interrupted(words, tmp_path / "index")
    with (tmp_path / ".index.building" / "work" / "vectors.faiss").open("ab") as file:
        file.write(b"half a row")
    build_dense(words, tmp_path / "index", WordEncoder(), kind="flat")
    assert files(tmp_path / "index") == files(tmp_path / "whole")


def test_one_process_builds_an_index_at_a_time(words: Path, tmp_path: Path) -> None:
    def build_too(stage: str, done: int, total: int) -> None:
        with pytest.raises(BadIndex, match="is being built by another process"):
            build_dense(words, tmp_path / "index", WordEncoder(), kind="flat")

    build_dense(words, tmp_path / "index", WordEncoder(), kind="flat", progress=build_too)
    assert files(tmp_path / "index")
