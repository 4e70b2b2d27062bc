"""What an evaluation has to ask, and what of it is done."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrsearch.data.questions import Question
from mrsearch.evaluation.metrics.rows import Key
from mrsearch.evaluation.policies.seeds import named_seed
from mrsearch.runs import read_json_lines


@dataclass(frozen=True, slots=True)
class Case:
    """One sampling of one question.

    Attributes:
        question: the question.
        sample: 0-based.
        seed: of the policy; it depends on the case alone, so that neither order nor interruption moves a result.
    """

    question: Question
    sample: int
    seed: int

    @property
    def key(self) -> Key:
        return self.question.source, self.question.id, self.sample


def cases(questions: Sequence[Question], samples: int, seed: int) -> Iterator[Case]:
    """Every question `samples` times."""
    for question in questions:
        for sample in range(samples):
            yield Case(question, sample, named_seed(f"{seed}\0{question.source}\0{question.id}\0{sample}"))


def key_of(record: Mapping[str, Any]) -> Key:
    """The case that a record is of."""
    return record["source"], record["id"], record.get("sample", 0)


def finished(path: Path) -> set[Key]:
    """The cases with a record in a file; one that lost a search is not finished, and is asked again."""
    done: set[Key] = set()
    for record in read_json_lines(path) if path.is_file() else ():
        (done.discard if lost_search(record) else done.add)(key_of(record))
    return done


def lost_search(record: Mapping[str, Any]) -> bool:
    """Whether the infrastructure failed the meta-episode."""
    return any(attempt["stop_reason"] == "search_failed" for attempt in record["attempts"])
