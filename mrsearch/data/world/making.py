"""Makes a world in memory."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mrsearch.data.questions import Question
from mrsearch.data.world.facts import Fact, Person
from mrsearch.data.world.parameters import SPLITS, WorldParameters
from mrsearch.data.world.people import make_distractors, make_facts, make_persons
from mrsearch.data.world.questions import make_questions


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


def make_world(parameters: WorldParameters, seed: int) -> World:
    """Makes a world; the same parameters and seed make the same world.

    Raises:
        UserError: the persons do not allow as many different questions as asked for.
    """
    rng = random.Random(seed)
    persons = make_persons(parameters, rng)
    facts: list[Fact] = []
    for split in SPLITS:
        own = make_facts(parameters, persons[split], rng)
        facts += own + make_distractors(parameters, persons[split], own, rng)
    # Equal scores rank by place in the corpus: shuffle, so that the place says nothing.
    rng.shuffle(facts)
    passages = {str(number): fact for number, fact in enumerate(facts)}
    known = {(f.subject, f.relation): (number, f) for number, f in passages.items() if not f.denied}
    questions = {split: make_questions(parameters, split, persons[split], known, rng) for split in SPLITS}
    return World(parameters, seed, persons, passages, questions)
