"""The memory-mapped corpus: any passage by row or id, the same whatever file it was made of."""

import gzip
import hashlib
import json
import os
import random
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from retriever_sample import PASSAGES, write_corpus

from retriever.corpus import CorpusStore, build_store, corpus_size, files, ids, is_store, open_store, read_corpus
from retriever.corpus.store import BATCH_ROWS
from retriever.errors import BadCorpus
from retriever.types import Document

DOCUMENTS = [Document(key, title, text) for key, (title, text) in PASSAGES.items()]


@pytest.fixture
def store(corpus: Path, tmp_path: Path) -> CorpusStore:
    return build_store(corpus, tmp_path / "store")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> CorpusStore:
    """More than two batches of passages."""
    folder = tmp_path_factory.mktemp("large")
    many = {f"id {n}": (f"Title {n}", f"text {n * n}") for n in range(2 * BATCH_ROWS + 3)}
    return build_store(write_corpus(folder / "corpus.jsonl", many), folder / "store")


def test_gives_passages_by_row_in_the_order_asked_for(store: CorpusStore) -> None:
    assert len(store) == len(DOCUMENTS)
    assert store.documents([3, 0, 3]) == [DOCUMENTS[3], DOCUMENTS[0], DOCUMENTS[3]]
    assert store.documents(np.array([1])) == [DOCUMENTS[1]]
    assert store.documents([]) == []


@pytest.mark.parametrize("row", [-1, len(DOCUMENTS), BATCH_ROWS, 10**12])
def test_a_row_that_does_not_exist_is_never_taken_for_another(store: CorpusStore, row: int) -> None:
    with pytest.raises(IndexError, match=f"row {row} is not in .*, which holds 7 passages"):
        store.documents([0, row])


def test_finds_rows_by_id(store: CorpusStore) -> None:
    assert store.rows(["wolf", "none", "fox", "", "\ud800", "wolf"]) == [2, None, 0, None, None, 2]
    assert store.rows([]) == []


def test_passages_lie_in_many_batches(large: CorpusStore) -> None:
    rows = [*random.Random(0).sample(range(len(large)), 1000), BATCH_ROWS - 1, BATCH_ROWS, len(large) - 1]
    assert large.documents(rows) == [Document(f"id {n}", f"Title {n}", f"text {n * n}") for n in rows]
    assert large.rows([f"id {n}" for n in rows]) == rows


def test_goes_through_all_passages_from_any_row(large: CorpusStore) -> None:
    batches = list(large.batches(1000, start=BATCH_ROWS - 10))
    assert [len(batch) for batch in batches] == [1000, 1000, 1000, 1000, 109]
    assert [document.id for batch in batches for document in batch] == [
        f"id {n}" for n in range(BATCH_ROWS - 10, len(large))
    ]


def test_threads_share_a_store(large: CorpusStore) -> None:
    fresh = open_store(large.folder)

    def check(seed: int) -> bool:
        rows = random.Random(seed).sample(range(len(large)), 2000)
        return fresh.rows([document.id for document in fresh.documents(rows)]) == rows

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(check, range(16)))


def test_equal_hashes_are_told_apart_by_the_ids(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (ids, files):
        monkeypatch.setattr(module, "hash_id", lambda identifier: len(identifier))
    store = build_store(corpus, tmp_path / "store")
    assert store.rows(["dog", "fox", "zol", "zola", "paris"]) == [1, 0, None, 3, 4]


def test_every_form_of_a_corpus_has_the_same_fingerprint(corpus: Path, store: CorpusStore, tmp_path: Path) -> None:
    zipped = tmp_path / "corpus.jsonl.gz"
    zipped.write_bytes(gzip.compress(corpus.read_bytes()))
    table = {"id": list(PASSAGES), "contents": [f'"{title}"\n{text}' for title, text in PASSAGES.values()]}
    pq.write_table(pa.table(table), tmp_path / "corpus.parquet")
    sources = [zipped, tmp_path / "corpus.parquet", store.folder]
    built = [build_store(source, tmp_path / f"store-{n}") for n, source in enumerate(sources)]
    assert {other.sha256 for other in built} == {store.sha256}
    assert {other.documents(range(len(other)))[4] for other in built} == {DOCUMENTS[4]}


def test_a_store_is_read_as_a_corpus(store: CorpusStore) -> None:
    positions: list[int] = []
    assert list(read_corpus(store.folder, positions.append)) == DOCUMENTS
    assert positions[-1] == corpus_size(store.folder)


def test_reports_progress_in_bytes(corpus: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    build_store(corpus, tmp_path / "store", lambda done, total: seen.append((done, total)))
    assert seen == [(corpus.stat().st_size, corpus.stat().st_size)]


def test_a_store_of_a_store_shares_its_files(store: CorpusStore, tmp_path: Path) -> None:
    twin = build_store(store.folder, tmp_path / "twin")
    assert twin.documents([2]) == store.documents([2])
    for path in store.folder.iterdir():
        assert path.samefile(twin.folder / path.name)
    assert build_store(store.folder, store.folder).sha256 == store.sha256


def test_building_anew_leaves_the_store_it_shared_files_with(store: CorpusStore, tmp_path: Path) -> None:
    build_store(store.folder, tmp_path / "twin")
    build_store(write_corpus(tmp_path / "other.jsonl", {"1": ("Other", "text")}), tmp_path / "twin")
    assert open_store(store.folder).documents([0]) == [DOCUMENTS[0]]
    assert open_store(tmp_path / "twin").documents([0]) == [Document("1", "Other", "text")]


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="there is no second file system at /dev/shm")
def test_a_store_is_copied_to_another_file_system(store: CorpusStore, tmp_path_factory: pytest.TempPathFactory) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        copied = build_store(store.folder, Path(other) / "store")
        assert not (copied.folder / "passages.arrow").samefile(store.folder / "passages.arrow")
        assert copied.documents([3]) == [DOCUMENTS[3]]


@pytest.mark.parametrize("line", ["{broken", '{"id": "fox", "contents": "again"}'])
def test_a_failed_build_leaves_no_files(corpus: Path, tmp_path: Path, line: str) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text(f"{corpus.read_text()}{line}\n")
    with pytest.raises(BadCorpus, match=f"line {len(PASSAGES) + 1}: "):
        build_store(bad, tmp_path / "store")
    assert list((tmp_path / "store").iterdir()) == []


def test_refuses_a_folder_without_a_complete_store(store: CorpusStore, tmp_path: Path) -> None:
    (store.folder / "corpus.json").unlink()
    assert not is_store(store.folder)
    for folder in (store.folder, tmp_path / "none"):
        with pytest.raises(BadCorpus, match="holds no complete corpus store"):
            open_store(folder)


@pytest.mark.parametrize("summary", ["{", "[]", "{}", '{"passages": "x", "sha256": "", "files": {}}'])
def test_refuses_a_damaged_summary(store: CorpusStore, summary: str) -> None:
    (store.folder / "corpus.json").write_text(summary)
    with pytest.raises(BadCorpus, match=r"corpus\.json is damaged"):
        open_store(store.folder)


@pytest.mark.parametrize("name", ["passages.arrow", "ids.hashes.npy", "ids.rows.npy"])
def test_refuses_a_truncated_or_missing_file(store: CorpusStore, name: str) -> None:
    path = store.folder / name
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(BadCorpus, match=rf"{name} has [\d,]+ bytes, corpus.json says [\d,]+; build the store again"):
        open_store(store.folder)
    path.unlink()
    with pytest.raises(BadCorpus, match=f"{name} has 0 bytes"):
        open_store(store.folder)


def test_the_fingerprint_is_that_of_the_canonical_lines(store: CorpusStore) -> None:
    lines = (json.dumps({"id": key, "contents": f'"{t}"\n{x}'}) + "\n" for key, (t, x) in PASSAGES.items())
    assert store.sha256 == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_a_closed_store_can_be_closed_again(store: CorpusStore) -> None:
    store.close()
    store.close()
    with pytest.raises(IndexError):
        store.documents([0])
