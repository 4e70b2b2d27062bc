"""Question files: FlashRAG's JSON lines and verl's parquet, read into one dataclass."""

import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mrsearch.errors import UserError

ABILITY = "qa"

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


@dataclass(frozen=True, slots=True)
class Question:
    """One question.

    Attributes:
        id: unique in its file.
        question: the question as asked.
        golden_answers: the accepted answers, at least one.
        source: the data set it comes from.
        metadata: whatever else the data set says of it; a JSON object.
    """

    id: str
    question: str
    golden_answers: tuple[str, ...]
    source: str
    metadata: dict[str, Any] = field(default_factory=dict)


def read_questions(path: Path) -> list[Question]:
    """Reads the questions of a `.jsonl` file (FlashRAG's form) or a `.parquet` file (verl's form).

    A line of a `.jsonl` file is an object with `question`, `golden_answers` (a list of strings) and, if wanted,
    `id` (the line number where missing), `source` (the file's stem where missing) and `metadata`.

    Raises:
        UserError: there is no such file, or something in it is not of this form; the message says where.
    """
    path = Path(path)
    if path.suffix not in _READERS:
        raise UserError(f"{path} ends in {path.suffix or 'no suffix'}; question files end in .jsonl or .parquet.")
    if not path.is_file():
        raise UserError(f"There is no question file {path}; give the path of a .jsonl or .parquet file.")
    questions: list[Question] = []
    places: dict[str, str] = {}
    for place, question in _READERS[path.suffix](path):
        if question.id in places:
            raise UserError(
                f"{path}, {place}: id {question.id!r} is the id of {places[question.id]} too; "
                "give every question an id of its own."
            )
        places[question.id] = place
        questions.append(question)
    if not questions:
        raise UserError(f"{path} holds no question; it needs at least one.")
    return questions


def write_questions(questions: Iterable[Question], path: Path) -> None:
    """Writes FlashRAG's JSON lines; the file appears whole or not at all."""
    with _whole_file(path) as partial, partial.open("w", encoding="utf-8") as file:
        for question in questions:
            line = {
                "id": question.id,
                "question": question.question,
                "golden_answers": list(question.golden_answers),
                "source": question.source,
                "metadata": question.metadata,
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def write_parquet(questions: Sequence[Question], path: Path, split: str) -> None:
    """Writes verl's parquet form; the file appears whole or not at all.

    Columns: `data_source`, `prompt` (one user message, the bare question), `ability`, `reward_model`
    (`style`, `ground_truth.target`) and `extra_info` (`index`, `split`, `id`, `question`, `golden_answers`,
    `metadata` as a JSON string).
    """
    rows = [_parquet_row(index, question, split) for index, question in enumerate(questions)]
    with _whole_file(path) as partial:
        pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), partial)


def _parquet_row(index: int, question: Question, split: str) -> dict[str, Any]:
    answers = list(question.golden_answers)
    return {
        "data_source": question.source,
        "prompt": [{"role": "user", "content": question.question}],
        "ability": ABILITY,
        "reward_model": {"style": "rule", "ground_truth": {"target": answers}},
        "extra_info": {
            "index": index,
            "split": split,
            "id": question.id,
            "question": question.question,
            "golden_answers": answers,
            "metadata": json.dumps(question.metadata, ensure_ascii=False),
        },
    }


def _read_jsonl(path: Path) -> Iterator[tuple[str, Question]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                place = f"line {number}"
                yield place, _question(path, place, _json_object(path, place, line), str(number))


def _read_parquet(path: Path) -> Iterator[tuple[str, Question]]:
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} is not a parquet file that can be read: {error}.") from error
    for column in ("data_source", "extra_info"):
        if column not in table.column_names:
            raise UserError(
                f"{path} has no column {column!r}; write it with `mrsearch data`, which gives verl's columns."
            )
    for number, row in enumerate(table.select(["data_source", "extra_info"]).to_pylist(), start=1):
        place = f"row {number}"
        extra = row["extra_info"]
        if not isinstance(extra, dict):
            raise UserError(f"{path}, {place}: extra_info is {_shown(extra)}; it must be a struct.")
        metadata = extra.get("metadata")
        if isinstance(metadata, str):
            extra = extra | {"metadata": _json_object(path, f"{place}, extra_info.metadata", metadata.encode())}
        yield place, _question(path, place, extra | {"source": row["data_source"]}, str(number))


_READERS = {".jsonl": _read_jsonl, ".parquet": _read_parquet}


def _json_object(path: Path, place: str, text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "it is not UTF-8"
        raise UserError(
            f"{path}, {place}: broken JSON ({reason}); each line must be one JSON object such as "
            '{"question": "…", "golden_answers": ["…"]}.'
        ) from error
    if not isinstance(value, dict):
        raise UserError(
            f"{path}, {place}: found {_shown(value)} where a JSON object with question and golden_answers must stand."
        )
    return value


def _question(path: Path, place: str, data: dict[str, Any], default_id: str) -> Question:
    """Checks one question's fields."""

    def refuse(name: str, accepted: str) -> UserError:
        found = f"is {_shown(data[name])}" if data.get(name) is not None else "is missing"
        return UserError(f"{path}, {place}: {name} {found}; it must be {accepted}.")

    text, answers = data.get("question"), data.get("golden_answers")
    if not isinstance(text, str) or not text.strip():
        raise refuse("question", "a string that is not empty")
    if not isinstance(answers, list) or not answers or not all(isinstance(a, str) and a.strip() for a in answers):
        raise refuse("golden_answers", "a list of at least one string, none of them empty")
    identity, source, metadata = data.get("id"), data.get("source"), data.get("metadata")
    if isinstance(identity, bool) or not isinstance(identity, str | int | None):
        raise refuse("id", "a string or a whole number, or left out")
    if source is not None and not isinstance(source, str):
        raise refuse("source", "a string, or left out")
    if metadata is not None and not isinstance(metadata, dict):
        raise refuse("metadata", "a JSON object, or left out")
    return Question(
        id=default_id if identity is None else str(identity),
        question=text.strip(),
        golden_answers=tuple(answers),
        source=source or path.stem,
        metadata=metadata or {},
    )


def _shown(value: Any) -> str:
    """A value as JSON, short enough for a sentence."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "…"


@contextmanager
def _whole_file(path: Path) -> Iterator[Path]:
    """A temporary sibling to write to, which takes the place of `path` only if all went well."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        # mkstemp makes files that only their owner can read.
        partial.chmod(0o644)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
