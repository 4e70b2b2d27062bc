"""Corpora in Parquet: the accepted columns, and refusals that name file, row and column."""

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retriever.corpus import read_corpus
from retriever.errors import BadCorpus
from retriever.types import Document


def write(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path


def test_reads_contents(tmp_path: Path) -> None:
    columns = {"id": ["a", "b"], "contents": ['"Rome"\nCapital of Italy.', "No title"], "url": ["x", None]}
    assert list(read_corpus(write(tmp_path / "corpus.parquet", columns))) == [
        Document("a", "Rome", "Capital of Italy."),
        Document("b", "", "No title"),
    ]


@pytest.mark.parametrize("strings", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
@pytest.mark.parametrize("integers", [pa.int64(), pa.uint8(), pa.string()])
def test_reads_titles_and_texts_of_any_string_type_and_whole_numbers_as_ids(
    tmp_path: Path, strings: pa.DataType, integers: pa.DataType
) -> None:
    columns = {
        "text": pa.array(["Capital of Italy.", "Émile \U0001f600"]).cast(strings),
        "id": pa.array([0, 7]).cast(integers),
        "title": pa.array(["Rome", ""]).cast(strings),
    }
    assert list(read_corpus(write(tmp_path / "corpus.parquet", columns))) == [
        Document("0", "Rome", "Capital of Italy."),
        Document("7", "", "Émile \U0001f600"),
    ]


def test_reports_progress_up_to_the_size_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "corpus.parquet", {"id": [1, 2, 3], "contents": ["x", "y", "z"]})
    size = path.stat().st_size
    positions: list[int] = []
    assert len(list(read_corpus(path, positions.append))) == 3
    assert positions == [size // 3, size * 2 // 3, size]


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ({"contents": ["x"]}, 'row 1: missing field "id"'),
        ({"id": ["1"], "body": ["x"]}, 'row 1: missing field "contents"'),
        ({"id": ["1"], "text": ["x"]}, 'row 1: missing field "title"'),
        (
            {"id": ["1", None], "contents": ["x", "y"]},
            'row 2: field "id" must be a string or a whole number, found null',
        ),
        ({"id": [1.0], "contents": ["x"]}, 'row 1: field "id" must be a string or a whole number, found 1.0'),
        ({"id": ["1", "2"], "contents": ["x", None]}, 'row 2: field "contents" must be a string, found null'),
        ({"id": ["1"], "contents": [b"x"]}, 'row 1: field "contents" must be a string, found "b\'x\'"'),
        ({"id": ["1"], "contents": [["x"]]}, 'row 1: field "contents" must be a string, found ["x"]'),
        ({"id": ["1"], "title": ["x"], "text": [3]}, 'row 1: field "text" must be a string, found 3'),
        ({"id": ["1"], "contents": [" "]}, "row 1: the passage has neither title nor text"),
        ({"id": ["1", "2", "1"], "contents": ["x", "y", "z"]}, 'row 3: duplicate id "1"'),
    ],
)
def test_refuses_a_bad_row(tmp_path: Path, columns: dict[str, Any], complaint: str) -> None:
    path = write(tmp_path / "corpus.parquet", columns)
    with pytest.raises(BadCorpus) as caught:
        list(read_corpus(path))
    assert str(caught.value).startswith(f"{path}, {complaint}")


def test_counts_rows_across_batches_and_row_groups(tmp_path: Path) -> None:
    columns = {"id": [str(n) for n in range(5000)], "contents": ["x"] * 4321 + [None] + ["x"] * 678}
    with pytest.raises(BadCorpus, match=r"row 4322: field \"contents\" must be a string, found null"):
        list(read_corpus(write(tmp_path / "corpus.parquet", columns, row_group_size=3000)))


def test_refuses_text_that_is_not_utf8(tmp_path: Path) -> None:
    broken = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")])
    path = write(tmp_path / "corpus.parquet", {"id": ["1"], "contents": broken})
    with pytest.raises(
        BadCorpus, match=r'corpus\.parquet: field "contents" is not UTF-8 text, in the rows after row 0'
    ):
        list(read_corpus(path))


def test_refuses_what_is_not_parquet(tmp_path: Path) -> None:
    path = tmp_path / "corpus.parquet"
    path.write_bytes(gzip.compress(b"{}"))
    with pytest.raises(BadCorpus, match=r"corpus\.parquet cannot be read as Parquet after row 0: .*magic bytes"):
        list(read_corpus(path))


def test_refuses_a_file_without_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "corpus.parquet", {"id": pa.array([], pa.string()), "contents": pa.array([], pa.string())})
    with pytest.raises(BadCorpus, match="holds no passages"):
        list(read_corpus(path))


def test_reads_the_shards_of_a_folder_in_order_and_names_the_file_of_a_bad_row(tmp_path: Path) -> None:
    for n in range(3):
        write(tmp_path / f"train-0000{n}-of-00003.parquet", {"id": [2 * n, 2 * n + 1], "contents": ["x", "y"]})
    assert [document.id for document in read_corpus(tmp_path)] == ["0", "1", "2", "3", "4", "5"]
    write(tmp_path / "train-00001-of-00003.parquet", {"id": [2, 3], "contents": ["x", ""]})
    with pytest.raises(BadCorpus, match=r"train-00001-of-00003\.parquet, row 2: the passage has neither"):
        list(read_corpus(tmp_path))
