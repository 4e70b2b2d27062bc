"""Step level: an answer is due after every search, and each step is an entry of its own."""

import pytest

from mrsearch.episode import EpisodeConfig, Maker, StopReason
from mrsearch.rewards import attempt_rewards

from .support import Page, World, assert_transcript

PROMPT, POLICY, OBSERVATION, REFLECTION, STEP = (
    Maker.PROMPT,
    Maker.POLICY,
    Maker.OBSERVATION,
    Maker.REFLECTION_PROMPT,
    Maker.STEP_PROMPT,
)
ASK = (PROMPT, 0, 0, "<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n")
SAY = "<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
SEARCH_ON, REFLECT = SAY.format("Search on, then answer again."), SAY.format("Reflect and improve.")
SHOWN_DUE = "\n<information>1. Ada: wrote it\n</information>\nAnswer now.\n"


def brief(**settings: object) -> EpisodeConfig:
    return EpisodeConfig(**{"prompts": "brief", "level": "step", "attempts": 2, "max_searches": 2, **settings})  # type: ignore[arg-type]


def test_two_attempts_of_two_steps() -> None:
    search = "<search> who </search>"
    turns = [search, "<answer> Bob </answer>", "<answer> Cy </answer>", search, search, "no", "hm"]
    turns += [search, "<answer> Ada </answer>"]
    world = World("chatml", turns, [[Page("p", "Ada", "wrote it")]])
    meta = world.run("Who?", brief())

    assert_transcript(
        meta.transcript,
        [
            ASK,
            (POLICY, 1, 1, search),
            (OBSERVATION, 1, 1, SHOWN_DUE),
            (POLICY, 1, 2, "<answer> Bob </answer>"),
            (STEP, 2, 0, SEARCH_ON),
            (POLICY, 2, 1, "<answer> Cy </answer>"),
            (REFLECTION, 3, 0, REFLECT),
            (POLICY, 3, 1, search),
            (OBSERVATION, 3, 1, SHOWN_DUE),
            (POLICY, 3, 2, search),  # only an answer counts by now
            (STEP, 4, 0, SEARCH_ON),
            (POLICY, 4, 1, "no"),
            (Maker.NOTE, 4, 1, "\nInvalid: search or answer.\n"),
            (POLICY, 4, 2, "hm"),
        ],
        world,
    )
    assert meta.answers == ["Bob", "Cy", None, None]
    assert [attempt.stop_reason for attempt in meta.attempts] == [
        StopReason.ANSWERED,
        StopReason.ANSWERED,
        StopReason.NO_ANSWER,
        StopReason.INVALID,
    ]
    assert attempt_rewards(meta, ["Cy"]) == [0.0, 1.0, 0.0, 0.0]


def test_one_step_is_an_attempt_with_one_search() -> None:
    def run(config: EpisodeConfig) -> object:
        world = World("chatml", ["<search> who </search>", "<answer> Ada </answer>"], [[Page("p", "Ada", "wrote it")]])
        return world.run("Who?", config).transcript

    steps = run(brief(max_searches=1))
    assert steps == run(brief(level="attempt", max_searches=1))
    assert steps == run(brief(max_searches=1, context="full"))


def test_without_searches_an_attempt_is_one_step() -> None:
    world = World("chatml", ["<answer> Ada </answer>"])
    assert world.run("Who?", brief(max_searches=0)).answers == ["Ada", "Ada"]


def test_explicit_reflection_opens_attempts_and_not_steps() -> None:
    answer = "<answer> Ada </answer>"
    world = World("chatml", [answer, answer, "<reflection> hm </reflection>", answer])
    meta = world.run("Who?", brief(reflection="explicit"))
    assert [attempt.reflection for attempt in meta.attempts] == [None, None, "hm", None]


def test_the_words_say_that_further_searches_may_follow() -> None:
    world = World("chatml", ["<search> who </search>", "<answer> Ada </answer>"])
    meta = world.run("Who?", EpisodeConfig(level="step", attempts=1))
    observation = next(segment for segment in meta.transcript.segments if segment.maker is OBSERVATION)
    said = world.chat.decode(observation.ids)
    assert said.endswith(
        "Before anything else, I must now give my best answer so far between <answer> and </answer>.\n"
    )


@pytest.mark.parametrize("budget", [30, 60])
def test_a_budget_of_attempts_is_one_of_steps(budget: int) -> None:
    world = World("chatml", ["<answer> Ada"])
    meta = world.run("Who?", brief(attempt_tokens=budget, max_invalid=9))
    assert [attempt.stop_reason for attempt in meta.attempts] == [StopReason.ATTEMPT_BUDGET] * 4
    assert all(0 < attempt.tokens <= budget for attempt in meta.attempts)
