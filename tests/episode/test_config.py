"""Settings that cannot work are refused with a sentence."""

from typing import Any

import pytest

from mrsearch.episode import EpisodeConfig, Sampled
from mrsearch.errors import UserError


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"attempts": 0}, "episode.attempts is 0; it must be a whole number of at least 1."),
        ({"max_searches": -1}, "episode.max_searches is -1; it must be a whole number of at least 0."),
        ({"topk": 2.5}, "episode.topk is 2.5; it must be a whole number of at least 1."),
        ({"turn_tokens": True}, "episode.turn_tokens is True; it must be a whole number of at least 1."),
        ({"attempt_tokens": 0}, "episode.attempt_tokens is 0; it must be a whole number of at least 1, or null."),
        ({"reflection": "none"}, "episode.reflection is 'none'; it must be 'implicit' or 'explicit'."),
        ({"level": "turn"}, "episode.level is 'turn'; it must be 'attempt' or 'step'."),
        ({"context": "long"}, "episode.context is 'long'; it must be 'full' or 'short'."),
        ({"protocol": "json"}, "episode.protocol is 'json'; it must be 'tags' or 'hermes'."),
        (
            {"reflection_prompt": "kind"},
            "episode.reflection_prompt is 'kind'; it must be null, one of improve, critic, checklist, brief, new_path, "
            "or 'text:' and your own words.",
        ),
        (
            {"reflection_prompt": "text: "},
            "episode.reflection_prompt is 'text: '; it must be null, one of improve, critic, checklist, brief, "
            "new_path, or 'text:' and your own words.",
        ),
        (
            {"level": "step", "final_turn": False},
            "episode.level is 'step', which demands an answer after every search; set episode.final_turn to true.",
        ),
        ({"prompts": "long"}, "episode.prompts is 'long'; it must be one of base, instruct, brief, direct, rag."),
    ],
)
def test_refusals(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as refusal:
        EpisodeConfig(**settings)
    assert str(refusal.value) == sentence


def test_defaults_are_the_published_settings() -> None:
    config = EpisodeConfig()
    assert (config.attempts, config.max_searches, config.topk) == (3, 3, 3)
    assert (config.context_tokens, config.turn_tokens, config.observation_tokens) == (8192, 1024, 1024)


def test_sampled_ids_come_with_their_logprobs() -> None:
    with pytest.raises(ValueError, match="2 sampled ids came with 1 log-probabilities"):
        Sampled([1, 2], [-0.5])
