"""A scored meta-episode as training and evaluation write it into the run folder."""

from collections.abc import Sequence
from typing import Any

from mrsearch.episode import MetaEpisode
from mrsearch.rewards.text import normalise


def scored_record(
    episode: MetaEpisode,
    rewards: Sequence[float],
    *,
    question_id: str,
    source: str,
    golds: Sequence[str],
    shaped: Sequence[float] | None = None,
) -> dict[str, Any]:
    """One JSON line: the question's id, source and gold answers, the attempts' rewards, and the whole record.

    The answers stand beside the record as the scorer saw them, in `normalised_answers`, and where the rewards were
    shaped for training, what was trained on in `shaped_rewards`.
    """
    return {
        "id": question_id,
        "source": source,
        "golden_answers": list(golds),
        "normalised_answers": [None if answer is None else normalise(answer) for answer in episode.answers],
        "rewards": list(rewards),
        **({} if shaped is None else {"shaped_rewards": list(shaped)}),
        **episode.to_json(),
    }
