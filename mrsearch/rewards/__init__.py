"""Rewards: one number per attempt, read from the record of a meta-episode."""

from mrsearch.rewards.attempts import METRICS, Metric, attempt_rewards
from mrsearch.rewards.record import scored_record
from mrsearch.rewards.shaping import Shaping, shaped_rewards
from mrsearch.rewards.text import exact_match, f1, normalise, substring_match

__all__ = [
    "METRICS",
    "Metric",
    "Shaping",
    "attempt_rewards",
    "exact_match",
    "f1",
    "normalise",
    "scored_record",
    "shaped_rewards",
    "substring_match",
]
