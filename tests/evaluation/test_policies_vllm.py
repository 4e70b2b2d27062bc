"""The engine of this process, started for real."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mrsearch.episode import EpisodeConfig, MetaEpisode, Sampled, run_meta_episode
from mrsearch.errors import UserError
from mrsearch.evaluation.policies import PolicySpec, open_policy
from mrsearch.jobs.cluster import environment

pytestmark = pytest.mark.slow

CONFIG = EpisodeConfig(attempts=2, prompts="brief", context_tokens=1024, turn_tokens=48)


class Finds:
    """Finds one passage for everything."""

    async def search(self, queries: Sequence[str], topk: int) -> list[list[Any]]:
        return [[SimpleNamespace(id="7", title="Rome", text="A city.", score=1.0)] for _ in queries]


@pytest.fixture(autouse=True)
def cpu_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment("cpu").items():
        monkeypatch.setenv(name, value)


def test_sampled_meta_episodes_repeat_whatever_the_order(quickstart_model: Path) -> None:
    async def run() -> None:
        spec = PolicySpec(model=str(quickstart_model), context_tokens=CONFIG.context_tokens)
        async with open_policy(spec) as opened:

            async def walk(seed: int) -> MetaEpisode:
                return await run_meta_episode("Where is it?", opened.policy(seed, 1.0), Finds(), opened.chat, CONFIG)

            together = await asyncio.gather(*map(walk, range(6)))
            alone = [await walk(seed) for seed in (5, 0, 3)]
        assert [episode.transcript.ids for episode in alone] == [together[seed].transcript.ids for seed in (5, 0, 3)]
        assert len({tuple(episode.transcript.ids) for episode in together}) > 1
        sampled = [segment for episode in together for segment in episode.transcript.segments if segment.trained]
        assert all(segment.logprobs and max(segment.logprobs) <= 0 for segment in sampled)

    asyncio.run(run())


def test_more_prompts_than_one_batch_takes_are_sampled_with_seeds(quickstart_model: Path) -> None:
    async def run() -> list[Sampled]:
        spec = PolicySpec(model=str(quickstart_model), context_tokens=2048)
        async with open_policy(spec) as opened:
            word = opened.chat.encode(" home")
            return await asyncio.gather(
                *(
                    opened.policy(seed, 1.0).sample((word * 2000)[seed : seed + 1500], max_tokens=2, stop=[])
                    for seed in range(16)
                )
            )

    assert all(1 <= len(sampled.token_ids) <= 2 for sampled in asyncio.run(run()))


def test_text_is_heard_piece_by_piece_as_it_is_sampled(quickstart_model: Path) -> None:
    heard: list[str] = []

    async def run() -> MetaEpisode:
        spec = PolicySpec(model=str(quickstart_model), context_tokens=CONFIG.context_tokens)
        async with open_policy(spec, heard.append) as opened:
            return await run_meta_episode("Where is it?", opened.policy(0), Finds(), opened.chat, CONFIG)

    turns = [turn.text for attempt in asyncio.run(run()).attempts for turn in attempt.turns]
    assert len(heard) > len(turns) > 0
    assert "".join(heard).startswith(turns[0].removesuffix("<|im_end|>"))


def test_a_model_that_vllm_refuses_is_one_sentence(quickstart_model: Path) -> None:
    async def run() -> None:
        async with open_policy(PolicySpec(model=str(quickstart_model), context_tokens=999_999)):
            pass

    with pytest.raises(UserError, match=r"^vLLM cannot load .*max_model_len \(999999\)") as refused:
        asyncio.run(run())
    assert "\n" not in str(refused.value)
