"""The meta-episode: one async function of a policy and a searcher. Pure Python: no torch, no verl, no Ray."""

from mrsearch.episode.chat import Chat
from mrsearch.episode.config import EpisodeConfig
from mrsearch.episode.meta_episode import run_meta_episode
from mrsearch.episode.records import Attempt, Maker, MetaEpisode, Segment, ShownPassage, Transcript, Turn
from mrsearch.episode.types import ChatLike, Passage, Policy, Sampled, Searcher, StopReason

__all__ = [
    "Attempt",
    "Chat",
    "ChatLike",
    "EpisodeConfig",
    "Maker",
    "MetaEpisode",
    "Passage",
    "Policy",
    "Sampled",
    "Searcher",
    "Segment",
    "ShownPassage",
    "StopReason",
    "Transcript",
    "Turn",
    "run_meta_episode",
]
