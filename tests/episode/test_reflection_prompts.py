"""What asks for the reflection: the set's own words, a template, or the user's."""

import pytest

from mrsearch.episode import EpisodeConfig, Maker
from mrsearch.episode.actions import RESERVED_TAGS
from mrsearch.episode.prompts import PROMPTS
from mrsearch.episode.reflection_prompts import REFLECTION_PROMPTS

from .support import World


def asked(reflection_prompt: str | None, **settings: str) -> str:
    """What stands between the first attempt and the second."""
    world = World("chatml", ["<answer> Bob </answer>"])
    config = EpisodeConfig(attempts=2, reflection_prompt=reflection_prompt, **settings)  # type: ignore[arg-type]
    (prompt,) = [
        segment for segment in world.run("Who?", config).transcript.segments if segment.maker is Maker.REFLECTION_PROMPT
    ]
    text = world.chat.decode(prompt.ids)
    return text.removeprefix("<|im_end|>\n<|im_start|>user\n").removesuffix("<|im_end|>\n<|im_start|>assistant\n")


def test_the_default_is_the_sets_own() -> None:
    assert asked(None, prompts="brief") == "Reflect and improve."
    assert asked(None) == PROMPTS["base"].reflection == asked("improve")


@pytest.mark.parametrize("name", REFLECTION_PROMPTS)
def test_a_template_is_followed_by_how_the_set_acts(name: str) -> None:
    said = asked(name)
    assert said == REFLECTION_PROMPTS[name] + PROMPTS["base"].restated
    assert "<search> query </search>" in said
    assert asked(name, prompts="brief") == REFLECTION_PROMPTS[name]


@pytest.mark.parametrize("name", REFLECTION_PROMPTS)
def test_templates_hold_in_every_protocol(name: str) -> None:
    """They speak of no tag, and say nothing of whether the answer is right."""
    assert not [tag for tag in RESERVED_TAGS if tag in REFLECTION_PROMPTS[name]]


def test_words_of_ones_own_stand_as_they_are() -> None:
    assert asked("text: Look again.\nCarefully, please. ") == "Look again.\nCarefully, please."
