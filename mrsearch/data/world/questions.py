"""Asks questions of one to three hops about a world's facts."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from mrsearch.data.questions import Question
from mrsearch.data.world.facts import Fact, Person
from mrsearch.data.world.names import PERSON_RELATIONS, RELATIONS
from mrsearch.data.world.parameters import HOPS, WorldParameters
from mrsearch.errors import UserError

_TRIES = 1000


def make_questions(
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
