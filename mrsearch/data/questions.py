"""Question files: FlashRAG's JSON lines, CSV and verl's parquet, read into one dataclass."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mrsearch.data.fields import question_fields
from mrsearch.data.parquet import parquet_rows
from mrsearch.data.rows import read_rows
from mrsearch.errors import UserError
from mrsearch.files import whole_file


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
    """Reads the questions of a file; `iter_questions` says what it may hold.

    Raises:
        UserError: there is no such file, or something in it is not of an accepted form; the message says where.
    """
    return list(iter_questions(path))


def iter_questions(path: Path, source: str | None = None) -> Iterator[Question]:
    """The questions of a file, one at a time.

    A line of a `.jsonl` file is an object with `question`, `golden_answers` (a list of strings) and, if wanted,
    `id` (the line number where missing), `source` (the file's stem where missing) and `metadata`. A `.csv` file has
    columns of these names; a cell of `golden_answers` is a JSON list, or answers with `|` between them. A `.parquet`
    file is of verl's form, and `mrsearch.data.fields` names the other forms.

    Args:
        path: the file.
        source: the data set of all questions, whatever the file says.

    Raises:
        UserError: there is no such file, or something in it is not of an accepted form; the message says where.
    """
    path = Path(path)
    places: dict[str, str] = {}
    for row in read_rows(path):
        question = Question(**question_fields(path, row, source))
        if question.id in places:
            raise UserError(
                f"{path}, {row.place}: id {question.id!r} is the id of {places[question.id]} too; "
                "give every question an id of its own."
            )
        places[question.id] = row.place
        yield question
    if not places:
        raise UserError(f"{path} holds no question; it needs at least one.")


def gold_titles(question: Question) -> tuple[str, ...] | None:
    """Titles of the passages that answer a question, each once, in the order of its set; None where not known.

    HotpotQA, 2WikiMultihopQA and MuSiQue name them in `metadata.supporting_facts.title`, a title for each fact.
    """
    facts = question.metadata.get("supporting_facts")
    titles = facts.get("title") if isinstance(facts, dict) else None
    if not isinstance(titles, list) or not titles or not all(isinstance(title, str) for title in titles):
        return None
    return tuple(dict.fromkeys(titles))


def write_questions(questions: Iterable[Question], path: Path) -> None:
    """Writes FlashRAG's JSON lines; the file appears whole or not at all."""
    with whole_file(path) as partial, partial.open("w", encoding="utf-8") as file:
        for question in questions:
            line = {
                "id": question.id,
                "question": question.question,
                "golden_answers": list(question.golden_answers),
                "source": question.source,
                "metadata": question.metadata,
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def write_parquet(questions: Iterable[Question], path: Path, split: str) -> None:
    """Writes verl's parquet form (`mrsearch.data.parquet`); the file appears whole or not at all."""
    with parquet_rows(path, split) as rows:
        for question in questions:
            rows.add(question)
