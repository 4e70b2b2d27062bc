"""The files a set is made from, on the hub, in a folder or the user's own, and the questions in them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

import numpy as np

from mrsearch.data.benchmarks import BENCHMARKS, Benchmark, Split, find_set
from mrsearch.data.fields import question_fields
from mrsearch.data.hub import hub_file
from mrsearch.data.questions import Question, iter_questions
from mrsearch.data.rows import read_rows
from mrsearch.errors import UserError
from mrsearch.files import sha256

HUB = "hub"
_FOLDER_ENDINGS = (".jsonl", ".parquet")
_POOL_TEST_SHARE, _POOL_SEED = 0.1, 42


@dataclass(frozen=True, slots=True)
class Source:
    """A file of questions.

    Attributes:
        path: where it lies.
        split: the split it is of; "eval" where the file does not say.
        benchmark: the benchmark it belongs to; None for a file of the user's own.
        pooled: whether it holds all splits.
        repo: the dataset repository of the hub it comes from; None for another origin.
        revision: the commit there.
    """

    path: Path
    split: str
    benchmark: Benchmark | None = None
    pooled: bool = False
    repo: str | None = None
    revision: str | None = None

    @property
    def origin(self) -> dict[str, str]:
        """What the provenance says of it."""
        given = {"hub": self.repo, "revision": self.revision, "file": str(self.path)}
        return {name: value for name, value in given.items() if value is not None} | {"sha256": sha256(self.path)}

    def questions(self) -> Iterator[Question]:
        """The questions of the split, one at a time.

        Raises:
            UserError: something in the file is not of an accepted form; the message says where.
        """
        if self.benchmark is None:
            yield from iter_questions(self.path)
        elif self.pooled:
            yield from _out_of_pool(self.path, self.benchmark.name, self.split)
        else:
            for question in iter_questions(self.path, self.benchmark.name):
                # HotpotQA and 2WikiMultihopQA carry ten passages with every question: the agent searches for its own.
                metadata = {name: value for name, value in question.metadata.items() if name != "context"}
                yield replace(question, metadata=metadata)


def find_sources(data_set: Benchmark, origin: str, split: str) -> list[Source]:
    """The files that a split of a set is made from.

    Args:
        data_set: a benchmark or joint set.
        origin: "hub", or a folder that holds `NAME.jsonl` (evaluation), `NAME.SPLIT.jsonl` or, in the hub's own order,
            `NAME/SPLIT.jsonl`; each may also end in `.parquet`.
        split: "eval", "train", "dev" or "test".

    Raises:
        UserError: the set has no such split, or the file cannot be found.
    """
    found = data_set.split(split)
    parts = [BENCHMARKS[name] for name in data_set.parts] or [data_set]
    if origin == HUB:
        return [_on_hub(part, found) for part in parts]
    if not Path(origin).is_dir():
        raise UserError(f"--from {origin}: there is no such folder; give a folder of question files, or hub.")
    return [_in_folder(part, Path(origin), found) for part in parts]


def own_source(path: Path, split: str) -> Source:
    """A file of the user's own."""
    if not path.is_file():
        raise UserError(f"There is no question file {path}; give the path of a .jsonl or .csv file, or a set's name.")
    return Source(path, split)


def _on_hub(benchmark: Benchmark, split: str) -> Source:
    file = hub_file(benchmark.repo, benchmark.pooled or f"{benchmark.name}/{split}.jsonl")
    return Source(file.path, split, benchmark, benchmark.pooled is not None, benchmark.repo, file.revision)


def _in_folder(benchmark: Benchmark, folder: Path, split: str) -> Source:
    name = benchmark.name
    places = [(f"{name}.{split}", split), (f"{name}/{split}", split)]
    if split == benchmark.evaluates:
        # The file with the bare name evaluates, and it alone does not say which split it is.
        places.insert(0, (name, Split.EVAL.value))
    candidates = [(folder / f"{place}{ending}", named) for place, named in places for ending in _FOLDER_ENDINGS]
    for path, named in candidates:
        if path.is_file():
            return Source(path, named, benchmark)
    if benchmark.pooled and (folder / benchmark.pooled).is_file():
        return Source(folder / benchmark.pooled, split, benchmark, pooled=True)
    sought = ", ".join(str(path.relative_to(folder)) for path, _ in candidates)
    raise UserError(f"{folder} holds no {split} split of {name}; it may be any of {sought}.")


def _out_of_pool(path: Path, name: str, split: str) -> Iterator[Question]:
    """One side of the 90/10 split of a file, as MR-Search's authors made it.

    They split with `datasets`' `train_test_split` and seed 42, number each side and end each question in a question
    mark. The rows that this picks are those of their published test file (a test compares).
    """
    pool = [Question(**question_fields(path, row, name)) for row in read_rows(path)]
    order = np.random.default_rng(_POOL_SEED).permutation(len(pool))
    test = ceil(len(pool) * _POOL_TEST_SHARE)
    for number, index in enumerate(order[:test] if split == Split.TEST else order[test:]):
        text = pool[index].question
        yield replace(
            pool[index],
            id=f"{split}_{number}",
            question=text if text.endswith("?") else f"{text}?",
            metadata={},
        )


def named_set(name: str) -> Benchmark | None:
    """The benchmark or joint set that a command names; None if it names a file.

    Raises:
        UserError: it names neither.
    """
    return None if Path(name).suffix in (".jsonl", ".csv", ".parquet", ".json") else find_set(name)
