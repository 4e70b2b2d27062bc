"""A careless demonstrator: a scripted policy that knows the protocol and applies it badly.

It writes well-formed turns, copies names exactly and plans the right hops, so that a model which imitates it
learns all the skills. Its choices are often poor: queries without the occupation, the passage of a namesake
read as the right one, half an answer called enough. That is what reinforcement learning can improve.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mrsearch.data import Question
from mrsearch.data.world import Fact, Person, full_query, parse_fact, parse_person
from mrsearch.episode import Chat, Sampled
from mrsearch.episode.prompts import PROMPTS

UNKNOWN = "unknown"
ANSWER_DUE = PROMPTS["brief"].answer_due
# Enough for the passages that one search brings.
ORDINALS = ("first", "second", "third", "fourth", "fifth")
_THOUGHTS = "need then only is missing gives enough found not keep the answer search check again doubt"
WORDS = tuple(f" {word}" for word in (*_THOUGHTS.split(), *ORDINALS, UNKNOWN))

Weights = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How the demonstrator chooses; weights of a choice need not add up to 1.

    Some relations are handled with care and some without, so that the most likely choice, which is what greedy
    decoding takes, is a poor one about as often as a sampled choice is.

    Attributes:
        careful_query: relations asked for with `query`; the others are asked for with `lazy_query`.
        query, lazy_query: weights of "full", "no_occupation", "no_relation" and "no_first_name".
        easily_content: relations after which it calls what it found enough, though a hop is missing, with the
            chance `content`; after the others with the chance `rarely_content`.
        next_step: weights, while a hop is missing, of "go_on", "keep" the answer and "repeat" the last search; also
            inside an attempt that has a search left, where only "go_on" searches and the rest answers.
        content_step: the same after it called its answer enough.
        last_step: weights, when no hop is missing, of "keep", "repeat" and "check" with a new query.
        read_right_first: chance to read the right passage when it stands first.
        read_right_later: the same when it stands later.
        read_other: chance to take a namesake's fact for the right one when the right one is not there.
    """

    careful_query: frozenset[str] = frozenset({"spouse", "rival", "home"})
    query: Weights
    lazy_query: Weights
    easily_content: frozenset[str] = frozenset({"mentor", "rival"})
    content: float
    rarely_content: float
    next_step: Weights
    content_step: Weights
    last_step: Weights
    read_right_first: float
    read_right_later: float
    read_other: float


CARELESS = Habits(
    query={"full": 0.70, "no_occupation": 0.20, "no_relation": 0.05, "no_first_name": 0.05},
    lazy_query={"full": 0.25, "no_occupation": 0.60, "no_relation": 0.08, "no_first_name": 0.07},
    content=0.60,
    rarely_content=0.25,
    next_step={"go_on": 0.75, "keep": 0.10, "repeat": 0.15},
    content_step={"go_on": 0.15, "keep": 0.75, "repeat": 0.10},
    last_step={"keep": 0.65, "repeat": 0.10, "check": 0.25},
    read_right_first=0.90,
    read_right_later=0.40,
    read_other=0.80,
)

# The first steps of training see what is easiest to learn from: the right query, read right.
DILIGENT = Habits(
    query={"full": 1.0},
    lazy_query={"full": 1.0},
    content=0.0,
    rarely_content=0.0,
    next_step={"go_on": 1.0},
    content_step={"go_on": 1.0},
    last_step={"keep": 1.0},
    read_right_first=1.0,
    read_right_later=1.0,
    read_other=0.0,
)


class Demonstrator:
    """A policy for one meta-episode on one question of a world.

    It sees what any policy sees, the tokens; of the question's metadata it uses only what the question says.
    """

    def __init__(self, question: Question, chat: Chat, habits: Habits, rng: random.Random) -> None:
        chain = question.metadata["chain"]
        start = parse_person(chain[0]["subject"])
        if start is None:
            raise ValueError(f"question {question.id} does not begin with a person of the world")
        self.chat, self.habits, self.rng = chat, habits, rng
        self.relations: Sequence[str] = [step["relation"] for step in chain]
        self.path: list[Person | str] = [start]
        """Whom or what each hop led to, as far as it believes."""
        self.query = ""
        self.answer = UNKNOWN
        self.started = self.reading = self.found = self.content = False

    async def sample(self, prompt_ids: Sequence[int], *, max_tokens: int, stop: Sequence[str]) -> Sampled:
        """Writes the next turn."""
        text = self.read(self.chat.decode(prompt_ids)) if self.reading else self.open_attempt()
        ids = self.chat.encode(text)
        return Sampled(ids, [0.0] * len(ids))

    @property
    def hops_missing(self) -> Sequence[str]:
        return self.relations[len(self.path) - 1 :]

    def open_attempt(self) -> str:
        """The first turn of an attempt: a plan or a reflection, then a search or the answer."""
        if not self.started:
            self.started = True
            return self.search(f"need {', then '.join(self.relations)}", self.new_query())
        step = self.next_step()
        if step == "keep":
            return self.give_answer("keep the answer")
        if step == "repeat":
            self.step_back()
            return self.search("search again", self.query)
        if step == "check":
            self.step_back()
            return self.search(f"doubt {self.hops_missing[0]}, check again", self.new_query())
        known = f"only {self.relations[len(self.path) - 2]} found, " if len(self.path) > 1 else ""
        return self.search(f"{known}{self.hops_missing[0]} is missing", self.new_query())

    def next_step(self) -> str:
        if not self.hops_missing:
            return self.choose(self.habits.last_step)
        return self.choose(self.habits.content_step if self.content else self.habits.next_step)

    def step_back(self) -> None:
        """Forgets what the last search found, to search for it again."""
        if len(self.path) > 1 and self.found:
            self.path.pop()

    def new_query(self) -> str:
        relation, subject = self.hops_missing[0], self.path[-1]
        if isinstance(subject, str):
            return f"{relation} {subject}"
        careful = relation in self.habits.careful_query
        match self.choose(self.habits.query if careful else self.habits.lazy_query):
            case "no_occupation":
                return f"{relation} {subject.name}"
            case "no_relation":
                return f"{subject.name} {subject.occupation}"
            case "no_first_name":
                return f"{relation} {subject.last} {subject.occupation}"
        return full_query(relation, subject)

    def search(self, thought: str, query: str) -> str:
        self.query, self.reading = query, True
        return f"<think> {thought} </think><search> {query} </search>"

    def give_answer(self, thought: str) -> str:
        self.reading = False
        return f"<think> {thought} </think><answer> {self.answer} </answer>"

    def read(self, context: str) -> str:
        """The turn after a search: which passage tells, then the next search or what it tells for the answer."""
        observation, _, after = context.rpartition("<information>")[2].partition("</information>")
        thought = self.believe(told(observation))
        searches_left = ANSWER_DUE not in after
        if searches_left and not self.content and self.choose(self.habits.next_step) == "go_on":
            return self.search(f"{thought}, {self.hops_missing[0]} is missing", self.new_query())
        return self.give_answer(f"{thought}, enough" if self.content else thought)

    def believe(self, facts: Sequence[Fact]) -> str:
        """Takes in what the passages tell of the next hop, and says so."""
        relation = self.hops_missing[0]
        place = self.believed(facts, relation)
        self.found, self.content = place is not None, False
        if place is None:
            return f"{relation} not found"
        self.path.append(facts[place].value)
        self.answer = str(facts[place].value)
        self.content = not self.hops_missing or self.is_content(relation)
        return f"{ORDINALS[place]} gives {relation}"

    def is_content(self, relation: str) -> bool:
        habits = self.habits
        return self.rng.random() < (habits.content if relation in habits.easily_content else habits.rarely_content)

    def believed(self, facts: Sequence[Fact], relation: str) -> int | None:
        """The place of the passage that it takes for the one on the relation; None where it believes none."""
        on_it = [place for place, fact in enumerate(facts) if fact.relation == relation]
        right = next((p for p in on_it if facts[p].subject == self.path[-1] and not facts[p].denied), None)
        if right is None:
            return on_it[0] if on_it and self.rng.random() < self.habits.read_other else None
        chance = self.habits.read_right_first if right == 0 else self.habits.read_right_later
        others = [place for place in on_it if place != right]
        return others[0] if others and self.rng.random() >= chance else right

    def choose(self, weights: Weights) -> str:
        return self.rng.choices(list(weights), list(weights.values()))[0]


def told(observation: str) -> list[Fact]:
    """The facts of an observation, best first."""
    texts = (line.partition(": ")[2] for line in observation.splitlines())
    return [fact for text in texts if (fact := parse_fact(text))]
