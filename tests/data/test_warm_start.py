"""The warm start's parts: the demonstrator in the real meta-episode, batches and loss, the sampler."""

import asyncio
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from demonstrations import walk_demonstrations
from demonstrator import CARELESS, DILIGENT, Demonstrator
from make import EPISODE, tokenizer_text
from measure import Walked, figures, group_variance
from model import build_model, build_tokenizer
from sampling import Sampler
from training import Row, TrainingConfig, batches, learning_rate_factor, next_token_loss, train
from transformers import Qwen2Tokenizer

from mrsearch.data import World
from mrsearch.episode import Chat, EpisodeConfig, Maker, MetaEpisode, StopReason, Transcript, run_meta_episode
from mrsearch.rewards import attempt_rewards
from retriever.clients import LocalSearcher


@pytest.fixture(scope="module")
def tokenizer(small_world: World) -> Qwen2Tokenizer:
    return build_tokenizer(tokenizer_text(small_world))


@pytest.fixture(scope="module")
def chat(tokenizer: Qwen2Tokenizer) -> Chat:
    return Chat(tokenizer)


def demonstrate(
    small_world: World, index: Path, chat: Chat, diligent: bool, config: EpisodeConfig = EPISODE
) -> list[MetaEpisode]:
    async def walk() -> list[MetaEpisode]:
        searcher = LocalSearcher(index)
        habits = DILIGENT if diligent else CARELESS
        episodes = await asyncio.gather(
            *(
                run_meta_episode(
                    question.question,
                    Demonstrator(question, chat, habits, random.Random(question.id)),
                    searcher,
                    chat,
                    config,
                )
                for question in small_world.questions["warm_start"]
            )
        )
        await searcher.close()
        return episodes

    return asyncio.run(walk())


def right(small_world: World, episodes: list[MetaEpisode], attempt: int) -> float:
    pairs = zip(episodes, small_world.questions["warm_start"], strict=True)
    return sum(episode.answers[attempt] in question.golden_answers for episode, question in pairs) / len(episodes)


def test_diligence_answers_one_hop_an_attempt(small_world: World, small_index_folder: Path, chat: Chat) -> None:
    """One search an attempt: a question of n hops is right from attempt n on, and the questions are in thirds."""
    episodes = demonstrate(small_world, small_index_folder, chat, diligent=True)
    assert [round(right(small_world, episodes, n), 6) for n in range(3)] == [0.333333, 0.666667, 1.0]


def test_diligence_answers_any_hops_in_one_attempt_with_searches_enough(
    small_world: World, small_index_folder: Path, chat: Chat
) -> None:
    long = replace(EPISODE, attempts=1, max_searches=3)
    episodes = demonstrate(small_world, small_index_folder, chat, diligent=True, config=long)
    assert right(small_world, episodes, 0) == 1.0
    careless = demonstrate(small_world, small_index_folder, chat, diligent=False, config=long)
    assert 0.1 < right(small_world, careless, 0) < 0.55
    assert {len(episode.attempts[0].queries) for episode in careless} == {1, 2, 3}


def test_carelessness_leaves_room_but_every_turn_is_well_formed(
    small_world: World, small_index_folder: Path, chat: Chat
) -> None:
    episodes = demonstrate(small_world, small_index_folder, chat, diligent=False)
    first, second, third = (right(small_world, episodes, n) for n in range(3))
    assert 0.1 < first < second < third < 0.55
    attempts = [attempt for episode in episodes for attempt in episode.attempts]
    assert {attempt.stop_reason for attempt in attempts} == {StopReason.ANSWERED}
    assert {turn.kind for attempt in attempts for turn in attempt.turns} == {"search", "answer"}
    assert max(len(segment.ids) for e in episodes for segment in e.transcript.segments if segment.trained) <= 40
    assert max(len(episode.transcript) for episode in episodes) < 320


def test_figures_of_a_policy_that_copies_exactly(small_world: World, small_index_folder: Path, chat: Chat) -> None:
    questions = small_world.questions["warm_start"]
    episodes = demonstrate(small_world, small_index_folder, chat, diligent=True)
    walked = [Walked(q, e, attempt_rewards(e, q.golden_answers)) for q, e in zip(questions, episodes, strict=True)]
    found = figures(walked)
    assert found["exact_match"] == [0.3333, 0.6667, 1.0]
    assert found["exact_match_by_hops"] == {"1": [1.0, 1.0, 1.0], "2": [0.0, 1.0, 1.0], "3": [0.0, 0.0, 1.0]}
    assert (found["known_queries"], found["known_answers"], found["right_where_shown"]) == (1.0, 1.0, 1.0)
    assert (found["n"], found["invalid_turns"], found["searches"]) == (150, 0.0, 2.0)


def test_variance_inside_groups(small_world: World) -> None:
    question = small_world.questions["test"][0]
    episode = MetaEpisode(question.question, [], Transcript())
    rewards = [(0.0, 1.0), (0.0, 0.0), (1.0, 1.0), (1.0, 1.0)]
    found = group_variance([Walked(question, episode, pair) for pair in rewards], group=2)
    assert found == {
        "groups": 2,
        "group": 2,
        "variance": [0.0, 0.125],
        "groups_that_differ": [0.0, 0.5],
        "groups_that_differ_anywhere": 0.5,
    }


def test_rows_are_what_the_policy_saw_and_wrote(small_world: World, small_index_folder: Path, chat: Chat) -> None:
    questions = small_world.questions["warm_start"]

    async def walk(seed: str) -> list[Row]:
        searcher = LocalSearcher(small_index_folder)
        config = replace(EPISODE, attempts=1)
        rows = await walk_demonstrations(questions, 20, CARELESS, config, chat, searcher, seed)
        await searcher.close()
        return rows

    rows, again, other = (asyncio.run(walk(seed)) for seed in ("a", "a", "b"))
    assert rows == again != other
    for row in rows:
        assert chat.decode(row.ids).startswith("<|im_start|>user\nWh")
        written = chat.decode([token for token, mine in zip(row.ids, row.written, strict=True) if mine])
        assert written.startswith("<think>") and written.endswith("</answer>") and "<information>" not in written


def test_batches_hold_every_row_once_and_no_more_tokens_than_allowed() -> None:
    lengths = random.Random(0)
    rows = [Row([number] * lengths.randint(5, 60), [True] * 60) for number in range(600)]
    stream = batches(rows, 500, random.Random(1))
    seen: list[int] = []
    while len(seen) < len(rows):
        batch = next(stream)
        assert len(batch) * max(len(row.ids) for row in batch) <= 500
        seen += [row.ids[0] for row in batch]
    assert sorted(seen) == list(range(600))


def test_loss_is_the_weighted_mean_without_padding(tokenizer: Qwen2Tokenizer) -> None:
    model = build_model(tokenizer, seed=0).eval()
    rows = [Row([5, 6, 7, 8], [False, False, True, True]), Row([9, 10], [False, True])]
    expected, weights = 0.0, 0.0
    with torch.no_grad():
        for row in rows:
            logprobs = model(torch.tensor([row.ids])).logits.log_softmax(-1)[0]
            for at in range(1, len(row.ids)):
                weight = 1.0 if row.written[at] else 0.1
                expected -= weight * float(logprobs[at - 1, row.ids[at]])
                weights += weight
        assert float(next_token_loss(model, rows, 0.1)) == pytest.approx(expected / weights, rel=1e-5)


def test_learning_rate_rises_stays_and_falls() -> None:
    config = TrainingConfig(steps=100, warmup_steps=10)
    factors = [learning_rate_factor(step, config) for step in (0, 4, 9, 30, 50, 75, 99)]
    assert factors == pytest.approx([0.1, 0.5, 1.0, 1.0, 1.0, 0.5, 0.02])


def test_training_is_deterministic_and_lowers_the_loss(tokenizer: Qwen2Tokenizer) -> None:
    rows = [Row([20 + n, 30, 40 + n, 50], [True] * 4) for n in range(4)]
    losses: list[list[float]] = []
    for _ in range(2):
        model, seen = build_model(tokenizer, seed=0), []
        config = TrainingConfig(steps=20, short_steps=5, tokens=16, warmup_steps=5)
        train(model, rows, rows, config, 0, lambda step, loss, seen=seen: seen.append(loss))
        losses.append(seen)
    assert losses[0] == losses[1]
    assert len(losses[0]) == 20 and losses[0][-1] < losses[0][0] / 2


def test_sharpness_multiplies_the_logits(tokenizer: Qwen2Tokenizer) -> None:
    rows = [Row([20, 30, 40, 50], [True] * 4)]
    plain, sharp = (
        train_one(tokenizer, rows, TrainingConfig(steps=2, short_steps=0, sharpness=sharpness))
        for sharpness in (1.0, 1.5)
    )
    assert torch.allclose(sharp, 1.5 * plain, atol=1e-5)


def train_one(tokenizer: Qwen2Tokenizer, rows: list[Row], config: TrainingConfig) -> torch.Tensor:
    """The logits of a model trained on the rows."""
    model = build_model(tokenizer, seed=0)
    train(model, rows, rows, config, 0)
    with torch.no_grad():
        return model(torch.tensor([rows[0].ids])).logits


def test_the_sampler_samples_from_the_model_whatever_the_batch(tokenizer: Qwen2Tokenizer) -> None:
    """Greedy and sampled turns are the same alone and in company, and log-probabilities are the model's."""
    model = build_model(tokenizer, seed=0).eval()
    prompts = [tokenizer.encode(text) for text in ("Who is it?", " mentor", "What is the home of the rival?")]

    async def sample(prompts: list[list[int]], temperature: float) -> list[tuple[list[int], list[float]]]:
        sampler = Sampler(model, tokenizer)
        turns = await asyncio.gather(
            *(
                sampler.policy(temperature, str(prompt)).sample(prompt, max_tokens=6, stop=["</answer>"])
                for prompt in prompts
            )
        )
        return [(list(turn.token_ids), list(turn.logprobs)) for turn in turns]

    for temperature in (0.0, 1.0):
        together = asyncio.run(sample(prompts, temperature))
        alone = [asyncio.run(sample([prompt], temperature))[0] for prompt in prompts]
        assert [ids for ids, _ in together] == [ids for ids, _ in alone]
        for prompt, (ids, logprobs) in zip(prompts, together, strict=True):
            with torch.no_grad():
                scores = model(torch.tensor([prompt + ids])).logits.log_softmax(-1)[0]
            expected = [float(scores[len(prompt) - 1 + at, token]) for at, token in enumerate(ids)]
            assert logprobs == pytest.approx(expected, abs=1e-4)


def test_a_walked_model_leaves_a_full_record(small_world: World, small_index_folder: Path, chat: Chat) -> None:
    """An untrained model babbles, and the meta-episode still records three attempts."""
    tokenizer = build_tokenizer(tokenizer_text(small_world))
    sampler = Sampler(build_model(tokenizer, seed=0).eval(), tokenizer)
    question = small_world.questions["test"][0]

    async def walk() -> MetaEpisode:
        searcher = LocalSearcher(small_index_folder)
        config = replace(EPISODE, turn_tokens=4)
        episode = await run_meta_episode(question.question, sampler.policy(1.0, "x"), searcher, chat, config)
        await searcher.close()
        return episode

    episode = asyncio.run(walk())
    assert [attempt.number for attempt in episode.attempts] == [1, 2, 3]
    assert {s.maker for s in episode.transcript.segments if s.trained} == {Maker.POLICY}
