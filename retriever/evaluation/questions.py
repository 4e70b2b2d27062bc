"""Reads questions with what is known of their gold passages and answers, one JSON object per line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retriever.errors import BadQuestions

_GOLD_FORMS = '"gold_ids", "golden_ids", "metadata.supporting_facts.title" or "golden_answers"'


@dataclass(frozen=True, slots=True)
class Question:
    """A question, and what a good ranking for it holds.

    Attributes:
        text: the query.
        gold_ids: ids of its gold passages.
        gold_titles: titles of its gold passages, where no ids are known.
        answers: its golden answers.
    """

    text: str
    gold_ids: tuple[str, ...] = ()
    gold_titles: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()


def read_questions(path: Path) -> list[Question]:
    """Reads a `.jsonl` or `.jsonl.gz` file in FlashRAG's form; blank lines are skipped.

    Every line needs `question` and at least one of `gold_ids` (or `golden_ids`), `metadata.supporting_facts.title`
    as HotpotQA, MuSiQue and 2WikiMultihopQA have it, and `golden_answers`; all of these are lists of strings.

    Raises:
        BadQuestions: names the file, the line, the field and what was expected.
    """
    questions = [
        _parse(line, f"{path}, line {number}") for number, line in enumerate(_lines(path), start=1) if line.strip()
    ]
    if not questions:
        raise BadQuestions(f'{path} holds no questions; each line must be a JSON object with the field "question".')
    return questions


def _lines(path: Path) -> Iterator[bytes]:
    if not path.is_file():
        raise BadQuestions(f"{path} is not a file; give questions as JSON lines (.jsonl or .jsonl.gz).")
    with path.open("rb") as raw, gzip.open(raw) if path.suffix == ".gz" else nullcontext(raw) as stream:
        try:
            yield from stream
        except (OSError, EOFError) as error:
            raise BadQuestions(f"{path} cannot be read: {error}.") from error


def _parse(line: bytes, where: str) -> Question:
    try:
        record = json.loads(line.decode("utf-8"))
    except ValueError as error:
        raise BadQuestions(f"{where}: not a line of JSON in UTF-8 ({error}).") from error
    if not isinstance(record, dict):
        raise BadQuestions(f"{where}: must be a JSON object, found {type(record).__name__}.")
    text = record.get("question")
    if not isinstance(text, str) or not text.strip():
        raise BadQuestions(f'{where}: field "question" must be a string that is not empty, found {_shown(text)}.')
    question = Question(
        text,
        gold_ids=_strings(record, "gold_ids", where) or _strings(record, "golden_ids", where),
        gold_titles=_titles(record, where),
        answers=_strings(record, "golden_answers", where),
    )
    if not (question.gold_ids or question.gold_titles or question.answers):
        raise BadQuestions(f"{where}: nothing tells a good passage from a bad one; give {_GOLD_FORMS}.")
    return question


def _titles(record: dict[str, Any], where: str) -> tuple[str, ...]:
    found: Any = record
    name = ""
    for key in ("metadata", "supporting_facts"):
        found = found.get(key)
        name += f"{key}."
        if found is None:
            return ()
        if not isinstance(found, dict):
            raise BadQuestions(f'{where}: field "{name[:-1]}" must be an object, found {_shown(found)}.')
    return _strings(found, "title", where, within=name)


def _strings(record: dict[str, Any], field: str, where: str, within: str = "") -> tuple[str, ...]:
    """A list of strings, each once, in order; empty where the field is missing."""
    values = record.get(field)
    if values is None:
        return ()
    if not isinstance(values, list) or not all(isinstance(value, str) and value.strip() for value in values):
        wanted = "a list of strings that are not empty"
        raise BadQuestions(f'{where}: field "{within}{field}" must be {wanted}, found {_shown(values)}.')
    return tuple(dict.fromkeys(values))


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:60]
