"""Reading a corpus: both forms of line, folders of files, and refusals that name file and line."""

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest

from retriever.corpus import corpus_size, files, ids, read_corpus
from retriever.errors import BadCorpus
from retriever.types import Document, join_contents, split_contents

GOOD = '{"id": "1", "contents": "\\"Paris\\"\\nCapital of France."}'


def test_reads_both_forms_and_skips_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text(f'{GOOD}\n\n{{"id": "2", "title": "Rome", "text": "Capital\\nof Italy."}}\n')
    assert list(read_corpus(path)) == [
        Document("1", "Paris", "Capital of France."),
        Document("2", "Rome", "Capital\nof Italy."),
    ]


def test_reads_gzip_and_reports_bytes(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl.gz"
    path.write_bytes(gzip.compress(f"{GOOD}\n".encode()))
    positions: list[int] = []
    assert [document.title for document in read_corpus(path, positions.append)] == ["Paris"]
    assert positions == [path.stat().st_size]


@pytest.mark.parametrize(
    ("contents", "title", "text"),
    [
        ('"Paris"\nCapital\nof France', "Paris", "Capital\nof France"),
        ("Paris\nCapital", "Paris", "Capital"),
        ('""Heroes""\nA song', '"Heroes"', "A song"),
        ('""\nNo title', "", "No title"),
        ("A single line", "", "A single line"),
        ('"\nOne quote', '"', "One quote"),
    ],
)
def test_splits_contents(contents: str, title: str, text: str) -> None:
    assert split_contents(contents) == (title, text)
    assert split_contents(join_contents(title, text)) == (title, text)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{not json", "invalid JSON"),
        ("[1, 2]", "found list"),
        ('{"contents": "x"}', 'missing field "id"'),
        ('{"id": "7"}', 'missing field "contents"'),
        ('{"id": "7", "title": "x"}', 'missing field "text"'),
        ('{"id": 7.5, "contents": "x"}', 'field "id" must be a string or a whole number, found 7.5'),
        ('{"id": true, "contents": "x"}', 'field "id" must be a string or a whole number, found true'),
        ('{"id": "7", "contents": null}', 'field "contents" must be a string, found null'),
        ('{"id": " ", "contents": "x"}', 'field "id" is empty'),
        ('{"id": "7", "contents": " \\n "}', "neither title nor text"),
        ('{"id": "7", "contents": "\\ud800"}', "unpaired surrogate"),
        ('{"id": "1", "contents": "x"}', 'duplicate id "1"'),
        ('{"id": 1, "contents": "x"}', 'duplicate id "1"'),
        ("[" * 100_000, "invalid JSON"),
    ],
)
def test_refuses_a_bad_line(tmp_path: Path, line: str, complaint: str) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text(f"{GOOD}\n{line}\n")
    with pytest.raises(BadCorpus) as caught:
        list(read_corpus(path))
    assert str(caught.value).startswith(f"{path}, line 2: ")
    assert complaint in str(caught.value)


def test_refuses_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(b'{"id": "1", "contents": "\xff"}\n')
    with pytest.raises(BadCorpus, match="line 1: not UTF-8"):
        list(read_corpus(path))


def test_refuses_a_cut_gzip_file(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl.gz"
    lines = "".join(json.dumps({"id": str(n), "contents": f"{n * n}"}) + "\n" for n in range(1000))
    path.write_bytes(gzip.compress(lines.encode())[:-100])
    with pytest.raises(BadCorpus, match=r"cannot be read after line \d+"):
        list(read_corpus(path))


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_refuses_an_empty_corpus(tmp_path: Path, text: str) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text(text)
    with pytest.raises(BadCorpus, match="holds no passages"):
        list(read_corpus(path))


def test_refuses_a_missing_file_and_a_folder_without_corpus_files(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    for path in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(BadCorpus, match=r"is not a file.*\.jsonl, \.jsonl\.gz, \.parquet"):
            list(read_corpus(path))


def test_a_whole_number_is_the_id_of_its_digits(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"id": 12345678901234567890, "contents": "Many"}\n')
    assert [document.id for document in read_corpus(path)] == ["12345678901234567890"]


def test_line_breaks_in_a_title_become_spaces(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"id": "1", "title": "New\\nYork", "text": "A city."}\n')
    [document] = read_corpus(path)
    assert (document.title, document.to_json()) == ("New York", '{"id": "1", "contents": "\\"New York\\"\\nA city."}')


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Four passages in three files, and files that are no part of the corpus."""
    (tmp_path / "shards" / "b").mkdir(parents=True)
    (tmp_path / "shards" / ".cache").mkdir()
    lines = [f'{{"id": "{n}", "contents": "text {n}"}}\n' for n in range(4)]
    (tmp_path / "shards" / "a-2.jsonl").write_text(lines[2])
    (tmp_path / "shards" / "a-1.jsonl.gz").write_bytes(gzip.compress("".join(lines[:2]).encode()))
    (tmp_path / "shards" / "b" / "a.jsonl").write_text(lines[3])
    (tmp_path / "shards" / ".cache" / "old.jsonl").write_text("{broken")
    (tmp_path / "shards" / "README.md").write_text("{broken")
    return tmp_path / "shards"


def test_reads_a_folder_of_files_in_the_order_of_their_paths(shards: Path) -> None:
    positions: list[int] = []
    assert [document.id for document in read_corpus(shards, positions.append)] == ["0", "1", "2", "3"]
    assert positions[-1] == corpus_size(shards)


def test_names_the_second_place_of_an_id_that_two_files_hold(shards: Path) -> None:
    (shards / "b" / "a.jsonl").write_text('\n{"id": "1", "contents": "again"}\n')
    with pytest.raises(BadCorpus, match=r'b/a\.jsonl, line 2: duplicate id "1"'):
        list(read_corpus(shards))


def test_ids_of_one_hash_are_no_duplicates(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (ids, files):
        monkeypatch.setattr(module, "hash_id", lambda identifier: 7)
    assert len(list(read_corpus(shards))) == 4


def test_ids_are_not_held_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(f'{{"id": "{n:0200}", "contents": "x"}}\n' for n in range(20_000)))
    tracemalloc.start()
    assert sum(1 for _ in read_corpus(path)) == 20_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # The ids alone take 20,000 times 249 bytes, their hashes 8 bytes each and as much again while they are sorted.
    assert peak < 1_500_000
