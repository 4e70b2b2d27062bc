"""The synthetic closed world: invented persons, passages about them, and multi-hop questions.

Persons share their names with up to three others and are told apart by occupation only, so a query that leaves
the occupation out finds the wrong person. Names fall into three sets, one per split, and every fact about a
person points inside the person's own set: no person of a test question occurs in a training question.
"""

from mrsearch.data.world.facts import Fact, Person, full_query, parse_fact, parse_person
from mrsearch.data.world.files import write_world
from mrsearch.data.world.making import World, make_world
from mrsearch.data.world.parameters import SPLITS, WorldParameters

__all__ = [
    "SPLITS",
    "Fact",
    "Person",
    "World",
    "WorldParameters",
    "full_query",
    "make_world",
    "parse_fact",
    "parse_person",
    "write_world",
]
