"""The synthetic closed world: invented persons, passages about them, and multi-hop questions.

Persons share their names with up to three others and are told apart by occupation only, so a query that leaves
the occupation out finds the wrong person. Names fall into three sets, one per split, and every fact about a
person points inside the person's own set: no person of a test question occurs in a training question.
"""

import json
import random
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mrsearch.data.names import (
    EMPLOYERS,
    FIRST_NAMES,
    LAST_NAMES,
    OCCUPATIONS,
    PERSON_RELATIONS,
    RELATIONS,
    TOWNS,
)
from mrsearch.data.questions import Question, write_parquet, write_questions
from mrsearch.errors import UserError

SPLITS = ("warm_start", "train", "test")
HOPS = (1, 2, 3)
_TRIES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldParameters:
    """Size and difficulty of a world.

    Attributes:
        first_names, last_names, occupations, towns, employers: how many words of each list are in use.
        names: combinations of a first and a last name in use.
        max_namesakes: each combination is borne by 1 to this many persons, of different occupations.
        hops: shares of questions with 1, 2 and 3 hops.
        warm_start_share, train_share: shares of the name combinations; the test split has the rest.
        warm_start_questions, train_questions, test_questions: questions to make for each split.
        distractors: share of facts beside which a passage stands that has every word of the full query and
            another person or place, and denies the relation.
        searches_per_attempt: searches in one attempt that this world is meant for; recorded, not used here.
    """

    first_names: int = len(FIRST_NAMES)
    last_names: int = len(LAST_NAMES)
    occupations: int = len(OCCUPATIONS)
    towns: int = len(TOWNS)
    employers: int = len(EMPLOYERS)
    names: int = 3922
    max_namesakes: int = 4
    hops: tuple[float, float, float] = (1.0, 1.0, 1.0)
    warm_start_share: float = 0.5
    train_share: float = 0.3
    warm_start_questions: int = 12_000
    train_questions: int = 6_000
    test_questions: int = 600
    distractors: float = 0.0
    searches_per_attempt: int = 1

    def __post_init__(self) -> None:
        for name, (least, most) in _LIMITS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise UserError(f"{name} is {value!r}; it must be a whole number from {least} to {most}.")
        for name in ("warm_start_share", "train_share", "distractors"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"{name} is {getattr(self, name)!r}; it must be a number from 0 to 1.")
        if len(self.hops) != len(HOPS) or min(self.hops) < 0 or not sum(self.hops) > 0:
            raise UserError(f"hops is {self.hops!r}; it must be three shares, none negative, not all zero.")
        if self.warm_start_share + self.train_share > 1:
            raise UserError("warm_start_share and train_share add up to more than 1; lower one of them.")
        if self.names > self.first_names * self.last_names:
            raise UserError(
                f"names is {self.names}, but {self.first_names} first and {self.last_names} last names make only "
                f"{self.first_names * self.last_names} combinations."
            )
        if self.max_namesakes > self.occupations // 2:
            raise UserError(
                f"max_namesakes is {self.max_namesakes}; it must be at most half of occupations "
                f"({self.occupations}), for namesakes are told apart by occupation."
            )


# A question of three hops needs four persons who share no name; ten combinations a split leave room for them.
_LIMITS = {
    "first_names": (5, len(FIRST_NAMES)),
    "last_names": (5, len(LAST_NAMES)),
    "occupations": (2, len(OCCUPATIONS)),
    "towns": (2, len(TOWNS)),
    "employers": (2, len(EMPLOYERS)),
    "names": (10, len(FIRST_NAMES) * len(LAST_NAMES)),
    "max_namesakes": (1, len(OCCUPATIONS) // 2),
    "warm_start_questions": (0, 1_000_000),
    "train_questions": (0, 1_000_000),
    "test_questions": (0, 1_000_000),
    "searches_per_attempt": (1, 100),
}


@dataclass(frozen=True, slots=True)
class Person:
    """A person; the three words together name one person only."""

    first: str
    last: str
    occupation: str

    @property
    def name(self) -> str:
        """What namesakes have in common."""
        return f"{self.first} {self.last}"

    def __str__(self) -> str:
        return f"{self.name} the {self.occupation}"


@dataclass(frozen=True, slots=True)
class Fact:
    """What one passage states; `denied` for a misleading passage that says the contrary of a fact."""

    subject: Person
    relation: str
    value: Person | str
    denied: bool = False

    @property
    def text(self) -> str:
        verb = f"has no {self.relation} like" if self.denied else f"has {self.relation}"
        return f"{self.subject} {verb} {self.value}."

    @property
    def full_query(self) -> str:
        """The query that brings this fact first: relation, first name, last name, occupation."""
        return full_query(self.relation, self.subject)


@dataclass(frozen=True, slots=True)
class World:
    """A world in memory.

    Attributes:
        persons: the persons of each split.
        passages: all facts by passage id, in corpus order.
        questions: the questions of each split.
    """

    parameters: WorldParameters
    seed: int
    persons: Mapping[str, Sequence[Person]]
    passages: Mapping[str, Fact]
    questions: Mapping[str, Sequence[Question]]

    @property
    def counts(self) -> dict[str, int]:
        """How many passages, persons and questions there are."""
        questions = {f"{split}_questions": len(self.questions[split]) for split in SPLITS}
        persons = {f"{split}_persons": len(self.persons[split]) for split in SPLITS}
        return {"passages": len(self.passages)} | persons | questions


def full_query(relation: str, subject: Person) -> str:
    """The query that brings the passage on this relation of this person first."""
    return f"{relation} {subject.first} {subject.last} {subject.occupation}"


def parse_person(text: str) -> Person | None:
    """Reads "First Last the occupation"."""
    match text.split():
        case [first, last, "the", occupation]:
            return Person(first, last, occupation)
    return None


def parse_fact(text: str) -> Fact | None:
    """Reads a passage's text back; None where it is not one of a world's."""
    match text.removesuffix(".").split():
        case [first, last, "the", occupation, "has", "no", relation, "like", *value]:
            denied = True
        case [first, last, "the", occupation, "has", relation, *value]:
            denied = False
        case _:
            return None
    words = " ".join(value)
    return Fact(Person(first, last, occupation), relation, parse_person(words) or words, denied)


def make_world(parameters: WorldParameters, seed: int) -> World:
    """Makes a world; the same parameters and seed make the same world.

    Raises:
        UserError: the persons do not allow as many different questions as asked for.
    """
    rng = random.Random(seed)
    persons = _make_persons(parameters, rng)
    facts: list[Fact] = []
    for split in SPLITS:
        own = _make_facts(parameters, persons[split], rng)
        facts += own + _make_distractors(parameters, persons[split], own, rng)
    # Equal scores rank by place in the corpus: shuffle, so that the place says nothing.
    rng.shuffle(facts)
    passages = {str(number): fact for number, fact in enumerate(facts)}
    known = {(f.subject, f.relation): (number, f) for number, f in passages.items() if not f.denied}
    questions = {split: _make_questions(parameters, split, persons[split], known, rng) for split in SPLITS}
    return World(parameters, seed, persons, passages, questions)


def write_world(world: World, out: Path) -> None:
    """Writes the folder of a world, whole or not at all; an earlier world there is replaced.

    Files: `corpus.jsonl` (Search-R1's form: `id`, `contents`), one `.jsonl` per split (FlashRAG's form),
    `train.parquet` and `test.parquet` (verl's form) and `world.json` (parameters, seed, counts).

    Raises:
        UserError: `out` is a file, or a folder that holds something else.
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file; give the path of a folder for the world.")
    if out.is_dir() and any(out.iterdir()) and not (out / "world.json").is_file():
        raise UserError(f"{out} holds files that are not a world's; give an empty or new folder.")
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent))
    try:
        _write_files(world, partial)
        # mkdtemp makes folders that only their owner can enter.
        partial.chmod(0o755)
        if out.exists():
            shutil.rmtree(out)
        partial.replace(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_files(world: World, folder: Path) -> None:
    with (folder / "corpus.jsonl").open("w", encoding="utf-8") as file:
        for number, fact in world.passages.items():
            line = {"id": number, "contents": f'"{fact.subject.name}"\n{fact.text}'}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    for split in SPLITS:
        write_questions(world.questions[split], folder / f"{split}.jsonl")
    for split in ("train", "test"):
        write_parquet(world.questions[split], folder / f"{split}.parquet", split)
    about = {"seed": world.seed, "parameters": asdict(world.parameters), "counts": world.counts}
    (folder / "world.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def _make_persons(parameters: WorldParameters, rng: random.Random) -> dict[str, list[Person]]:
    """The persons of each split; a combination of names belongs to one split."""
    firsts, lasts = FIRST_NAMES[: parameters.first_names], LAST_NAMES[: parameters.last_names]
    occupations = OCCUPATIONS[: parameters.occupations]
    names = rng.sample([(first, last) for first in firsts for last in lasts], parameters.names)
    warm_start = round(parameters.names * parameters.warm_start_share)
    train = warm_start + round(parameters.names * parameters.train_share)
    parts = (names[:warm_start], names[warm_start:train], names[train:])
    return {
        split: [
            Person(first, last, occupation)
            for first, last in part
            for occupation in rng.sample(occupations, rng.randint(1, parameters.max_namesakes))
        ]
        for split, part in zip(SPLITS, parts, strict=True)
    }


def _make_facts(parameters: WorldParameters, persons: Sequence[Person], rng: random.Random) -> list[Fact]:
    """Six facts about each person, fewer where nobody suits."""
    namesakes = _occupations_by_name(persons)
    facts = []
    for one, other in _couples(persons, namesakes, rng):
        facts += [Fact(one, "spouse", other), Fact(other, "spouse", one)]
    for subject in persons:
        for relation in PERSON_RELATIONS[1:]:
            value = _someone_else(subject, persons, namesakes, rng)
            if value:
                facts.append(Fact(subject, relation, value))
        facts.append(Fact(subject, "birthplace", rng.choice(TOWNS[: parameters.towns])))
        facts.append(Fact(subject, "home", rng.choice(TOWNS[: parameters.towns])))
        facts.append(Fact(subject, "employer", rng.choice(EMPLOYERS[: parameters.employers])))
    return facts


def _make_distractors(
    parameters: WorldParameters, persons: Sequence[Person], facts: Sequence[Fact], rng: random.Random
) -> list[Fact]:
    """Denials, each beside a fact and one word longer, so that BM25 ranks it below the fact."""
    namesakes = _occupations_by_name(persons)
    values = {relation: [f.value for f in facts if f.relation == relation] for relation in RELATIONS}
    denials = []
    for fact in facts:
        if rng.random() < parameters.distractors:
            value = rng.choice(values[fact.relation])
            suits = isinstance(value, str) or _suits(fact.subject, value, namesakes)
            if suits and value != fact.value:
                denials.append(Fact(fact.subject, fact.relation, value, denied=True))
    return denials


def _occupations_by_name(persons: Sequence[Person]) -> dict[str, set[str]]:
    occupations: dict[str, set[str]] = {}
    for person in persons:
        occupations.setdefault(person.name, set()).add(person.occupation)
    return occupations


def _suits(subject: Person, value: Person, namesakes: Mapping[str, set[str]]) -> bool:
    """Whether a fact may join two persons.

    They share no name, and the value's occupation is that of no namesake of the subject: else a passage on
    a namesake would hold every word of the full query as often as the right one.
    """
    return (
        subject.first != value.first and subject.last != value.last and value.occupation not in namesakes[subject.name]
    )


def _someone_else(
    subject: Person, persons: Sequence[Person], namesakes: Mapping[str, set[str]], rng: random.Random
) -> Person | None:
    candidates = (rng.choice(persons) for _ in range(_TRIES))
    return next((value for value in candidates if _suits(subject, value, namesakes)), None)


def _couples(
    persons: Sequence[Person], namesakes: Mapping[str, set[str]], rng: random.Random
) -> Iterator[tuple[Person, Person]]:
    """Pairs of persons, nobody in two of them; those for whom nobody is left stay single."""
    single = rng.sample(persons, len(persons))
    while single:
        one = single.pop()
        for index in range(len(single) - 1, -1, -1):
            other = single[index]
            if _suits(one, other, namesakes) and _suits(other, one, namesakes):
                del single[index]
                yield one, other
                break


def _make_questions(
    parameters: WorldParameters,
    split: str,
    persons: Sequence[Person],
    known: Mapping[tuple[Person, str], tuple[str, Fact]],
    rng: random.Random,
) -> list[Question]:
    """Different questions about the persons of one split, the numbers of hops mixed as asked for."""
    wanted: int = getattr(parameters, f"{split}_questions")
    chains: dict[str, list[tuple[str, Fact]]] = {}
    for hops, count in zip(HOPS, _shares(wanted, parameters.hops), strict=True):
        failures = 0
        for _ in range(count):
            while (chain := _chain(hops, persons, known, rng)) is None or (text := _ask(chain)) in chains:
                failures += 1
                if failures > 10 * count + _TRIES:
                    raise UserError(
                        f"{split}_questions is {wanted}, but the {len(persons)} persons of this split do not "
                        f"allow {count} different questions with {hops} hops; lower it, or raise names."
                    )
            chains[text] = chain
    ordered = rng.sample(list(chains.items()), len(chains))
    return [_question(f"{split}-{index}", text, split, chain) for index, (text, chain) in enumerate(ordered)]


def _shares(total: int, weights: Sequence[float]) -> list[int]:
    """Splits a whole number by weights, exactly."""
    ends = [round(total * sum(weights[: i + 1]) / sum(weights)) for i in range(len(weights))]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def _chain(
    hops: int,
    persons: Sequence[Person],
    known: Mapping[tuple[Person, str], tuple[str, Fact]],
    rng: random.Random,
) -> list[tuple[str, Fact]] | None:
    """Facts that lead from a person through persons, none met twice, to an answer; None where it fails."""
    if not persons:
        return None
    subject = rng.choice(persons)
    met, chain = {subject}, []
    for hop in range(1, hops + 1):
        relation = rng.choice(PERSON_RELATIONS if hop < hops else RELATIONS)
        if (subject, relation) not in known:
            return None
        number, fact = known[subject, relation]
        chain.append((number, fact))
        if isinstance(fact.value, Person):
            if fact.value in met:
                return None
            subject = fact.value
            met.add(subject)
    return chain


def _ask(chain: Sequence[tuple[str, Fact]]) -> str:
    relations = " of the ".join(fact.relation for _, fact in reversed(chain))
    asked = "Who" if isinstance(chain[-1][1].value, Person) else "What"
    return f"{asked} is the {relations} of {chain[0][1].subject}?"


def _question(identity: str, text: str, split: str, chain: Sequence[tuple[str, Fact]]) -> Question:
    steps = [
        {
            "subject": str(fact.subject),
            "relation": fact.relation,
            "value": str(fact.value),
            "passage_id": number,
            "title": fact.subject.name,
            "query": fact.full_query,
        }
        for number, fact in chain
    ]
    metadata: dict[str, Any] = {
        "hops": len(chain),
        "gold_passage_ids": [step["passage_id"] for step in steps],
        "gold_titles": [step["title"] for step in steps],
        "chain": steps,
    }
    return Question(identity, text, (str(chain[-1][1].value),), f"world_{split}", metadata)
