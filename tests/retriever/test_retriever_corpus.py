"""Reading a corpus: both forms of line, and refusals that name file and line."""

import gzip
import json
from pathlib import Path

import pytest

from retriever.corpus import read_corpus
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
        ('{"id": 7, "contents": "x"}', 'field "id" must be a string, found 7'),
        ('{"id": "7", "contents": null}', 'field "contents" must be a string, found null'),
        ('{"id": " ", "contents": "x"}', 'field "id" is empty'),
        ('{"id": "7", "contents": " \\n "}', "neither title nor text"),
        ('{"id": "7", "contents": "\\ud800"}', "unpaired surrogate"),
        ('{"id": "1", "contents": "x"}', 'duplicate id "1"'),
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


def test_refuses_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(BadCorpus, match="is not a file"):
            list(read_corpus(path))
