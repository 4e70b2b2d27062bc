"""Invents the persons of a world and the facts about them."""

import random
from collections.abc import Iterator, Mapping, Sequence

from mrsearch.data.world.facts import Fact, Person
from mrsearch.data.world.names import (
    EMPLOYERS,
    FIRST_NAMES,
    LAST_NAMES,
    OCCUPATIONS,
    PERSON_RELATIONS,
    RELATIONS,
    TOWNS,
)
from mrsearch.data.world.parameters import SPLITS, WorldParameters

_TRIES = 1000


def make_persons(parameters: WorldParameters, rng: random.Random) -> dict[str, list[Person]]:
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


def make_facts(parameters: WorldParameters, persons: Sequence[Person], rng: random.Random) -> list[Fact]:
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


def make_distractors(
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
