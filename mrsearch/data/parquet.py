"""verl's parquet form, written row by row, with words about the file in its metadata."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from mrsearch.files import whole_file

if TYPE_CHECKING:
    from mrsearch.data.questions import Question

ABILITY = "qa"
KEY = "mrsearch"
"""The key of the provenance in a file's metadata."""

_ROWS_AT_ONCE = 4096
_STRINGS = pa.list_(pa.string())
_SCHEMA = pa.schema(
    [
        ("data_source", pa.string()),
        ("prompt", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
        ("ability", pa.string()),
        (
            "reward_model",
            pa.struct([("style", pa.string()), ("ground_truth", pa.struct([("target", _STRINGS)]))]),
        ),
        (
            "extra_info",
            pa.struct(
                [
                    ("index", pa.int64()),
                    ("split", pa.string()),
                    ("id", pa.string()),
                    ("question", pa.string()),
                    ("golden_answers", _STRINGS),
                    ("metadata", pa.string()),
                ]
            ),
        ),
    ]
)


class ParquetRows:
    """A file that is being written; made by `parquet_rows`."""

    def __init__(self, file: pq.ParquetWriter, split: str) -> None:
        self._file, self._split = file, split
        self._rows: list[dict[str, Any]] = []
        self._count = 0

    def add(self, question: "Question") -> None:
        """Adds one question."""
        answers = list(question.golden_answers)
        self._rows.append(
            {
                "data_source": question.source,
                "prompt": [{"role": "user", "content": question.question}],
                "ability": ABILITY,
                "reward_model": {"style": "rule", "ground_truth": {"target": answers}},
                "extra_info": {
                    "index": self._count,
                    "split": self._split,
                    "id": question.id,
                    "question": question.question,
                    "golden_answers": answers,
                    "metadata": json.dumps(question.metadata, ensure_ascii=False),
                },
            }
        )
        self._count += 1
        if len(self._rows) == _ROWS_AT_ONCE:
            self.flush()

    def describe(self, provenance: Mapping[str, Any]) -> None:
        """Says in the file's metadata where its questions come from."""
        self._file.add_key_value_metadata({KEY: json.dumps(provenance, ensure_ascii=False)})

    def flush(self) -> None:
        """Writes what is held back."""
        if self._rows:
            self._file.write_table(pa.Table.from_pylist(self._rows, schema=_SCHEMA))
            self._rows.clear()


@contextmanager
def parquet_rows(path: Path, split: str) -> Iterator[ParquetRows]:
    """A file to add questions to; it appears whole at the end of the context, or not at all.

    Columns: `data_source`, `prompt` (one user message, the bare question), `ability`, `reward_model`
    (`style`, `ground_truth.target`) and `extra_info` (`index`, `split`, `id`, `question`, `golden_answers`,
    `metadata` as a JSON string).
    """
    with whole_file(path) as partial, pq.ParquetWriter(partial, _SCHEMA) as file:
        rows = ParquetRows(file, split)
        yield rows
        rows.flush()


def read_provenance(path: Path) -> dict[str, Any] | None:
    """What a parquet file says of its origin; None if it is no parquet file or says nothing."""
    try:
        value = json.loads((pq.read_metadata(path).metadata or {})[KEY.encode()])
    except (pa.ArrowException, OSError, KeyError, ValueError):
        return None
    return value if isinstance(value, dict) else None
