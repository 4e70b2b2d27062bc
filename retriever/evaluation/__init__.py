"""Retrieval quality on questions whose gold passages, or at least answers, are known."""

from retriever.evaluation.figures import evaluate
from retriever.evaluation.questions import Question, read_questions

__all__ = ["Question", "evaluate", "read_questions"]
