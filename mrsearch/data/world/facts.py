"""What a world states: persons, and facts about them, to and from text."""

from dataclasses import dataclass


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
