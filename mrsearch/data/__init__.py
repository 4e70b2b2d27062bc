"""Questions, their files, and the synthetic world."""

from mrsearch.data.questions import Question, read_questions, write_parquet, write_questions
from mrsearch.data.world import World, WorldParameters, make_world, write_world

__all__ = [
    "Question",
    "World",
    "WorldParameters",
    "make_world",
    "read_questions",
    "write_parquet",
    "write_questions",
    "write_world",
]
