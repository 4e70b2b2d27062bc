"""Training where a meta-episode has several contexts, and attempts several steps, until its tokens are spent."""

from pathlib import Path

import pytest
from conftest import Finished, mrsearch, train_settings  # type: ignore[import-not-found]

from mrsearch.episode import MetaEpisode
from mrsearch.runs import RunFolder, read_json_lines

pytestmark = pytest.mark.slow


def train(run: RunFolder, world: Path) -> Finished:
    return mrsearch(
        "train",
        "quickstart",
        *train_settings(steps=5),
        "trainer.save_freq=100",
        "mrsearch.token_budget=1",
        "algorithm.adv_estimator=step_rloo",
        "mrsearch.episode.context=short",
        "mrsearch.episode.level=step",
        "mrsearch.episode.attempts=2",
        "mrsearch.episode.max_searches=2",
        "actor_rollout_ref.actor.optim.lr_warmup_steps=0",
        f"--out={run.path}",
        f"--questions={world / 'train.jsonl'}",
        f"--corpus={world / 'corpus.jsonl'}",
    )


def test_short_context_at_step_level_trains_until_its_tokens_are_spent(small_world: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    finished = train(run, small_world)
    assert finished.status == 0, finished.output
    assert finished.left == []
    (step,) = run.read_metrics()
    assert 0 < step["mismatch/logprob_abs_mean"] <= 1e-5
    assert step["actor/grad_norm"] > 0
    assert step["episodes/n"] == 4 * 4

    records = list(read_json_lines(run.episodes("train", 1)))
    assert len(records) == 4 * 4
    episodes = [
        MetaEpisode.from_json({key: record[key] for key in ("question", "attempts", "transcript")})
        for record in records
    ]
    assert all(len(record["rewards"]) == len(record["attempts"]) == 2 * 2 for record in records)
    assert all(len(episode.transcript.sequences()) == 2 for episode in episodes)
    assert step["tokens/sampled"] == sum(sum(episode.transcript.trained) for episode in episodes)

    assert step["tokens/total"] == step["tokens/sampled"] > 1
    assert run.last_checkpoint() is not None, "the step that spent the tokens is kept"
    again = train(run, small_world)
    assert (again.status, "is trained to its end" in again.output) == (0, True), again.output
