"""Two training steps with verl, vLLM and Serve."""

import json
from pathlib import Path

import pytest
import torch
from conftest import Finished, mrsearch, train_settings  # type: ignore[import-not-found]
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mrsearch.data.questions import read_questions, write_questions
from mrsearch.episode import MetaEpisode
from mrsearch.evaluation.metrics import summarise
from mrsearch.runs import RunFolder, read_json_lines

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(small_world: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Finished, RunFolder]:
    run = RunFolder(tmp_path_factory.mktemp("train") / "run")
    val = run.path.parent / "val.jsonl"
    write_questions(read_questions(small_world / "test.jsonl")[:8], val)
    finished = mrsearch(
        "train",
        "quickstart",
        *train_settings(steps=2),
        "trainer.checkpoint_callback_class=engine_dump.EngineDump",
        "actor_rollout_ref.actor.optim.lr_warmup_steps=0",  # a warm-up's first step has learning rate 0
        "trainer.test_freq=2",
        f"mrsearch.val_questions={val}",
        "--track=mlflow",
        "--track=wandb",
        f"--out={run.path}",
        f"--questions={small_world / 'train.jsonl'}",
        f"--corpus={small_world / 'corpus.jsonl'}",
    )
    return finished, run


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for file in folder.glob("*.safetensors") for name, tensor in load_file(file).items()}


def exported(run: RunFolder, step: int) -> dict[str, torch.Tensor]:
    return weights(run.checkpoints / f"global_step_{step}" / "actor" / "huggingface")


def test_two_steps_run_and_leave_nothing_running(trained: tuple[Finished, RunFolder]) -> None:
    finished, run = trained
    assert finished.status == 0, finished.output
    assert finished.left == []
    assert [step["step"] for step in run.read_metrics()] == [1, 2]


def test_engine_and_trainer_agree_at_every_step(trained: tuple[Finished, RunFolder]) -> None:
    _, run = trained
    steps = run.read_metrics()
    assert len(steps) == 2
    for step in steps:
        assert 0 < step["mismatch/logprob_abs_mean"] <= 1e-5
        assert step["actor/grad_norm"] > 0


def test_weights_in_the_engine_after_a_step_are_the_trainers(
    trained: tuple[Finished, RunFolder], quickstart_model: Path
) -> None:
    _, run = trained
    trainer, engine = exported(run, 1), weights(run.checkpoints / "global_step_2" / "engine")
    assert not torch.equal(trainer["model.norm.weight"], weights(quickstart_model)["model.norm.weight"]), (
        "the step changed nothing"
    )
    compared = 0
    for name in engine.keys() - {name for name in engine if name.endswith("_scale")}:
        expected = as_packed_by_vllm(trainer, name)
        assert torch.equal(engine[name][: len(expected)], expected), name  # vLLM pads the vocabulary
        compared += expected.numel()
    assert compared == sum(tensor.numel() for tensor in trainer.values())


def as_packed_by_vllm(trainer: dict[str, torch.Tensor], name: str) -> torch.Tensor:
    """The trainer's weight under vLLM's name: some are joined, and tied embeddings are called the head."""
    for packed, parts in {"qkv_proj": ("q_proj", "k_proj", "v_proj"), "gate_up_proj": ("gate_proj", "up_proj")}.items():
        if packed in name:
            return torch.cat([trainer[name.replace(packed, part)] for part in parts])
    return trainer[name.replace("lm_head", "model.embed_tokens")]


def test_every_meta_episode_is_written_and_scored(trained: tuple[Finished, RunFolder]) -> None:
    _, run = trained
    for step in (1, 2):
        records = list(read_json_lines(run.episodes("train", step)))
        assert len(records) == 4 * 4
        assert len({record["group"] for record in records}) == 4
        for record in records:
            episode = MetaEpisode.from_json({key: record[key] for key in ("question", "attempts", "transcript")})
            assert len(episode.attempts) == len(record["rewards"]) == 3
            assert sum(episode.transcript.trained) == sum(attempt.tokens for attempt in episode.attempts) > 0
        assert any(attempt["turns"][0]["passages"] for record in records for attempt in record["attempts"])


def test_validation_has_the_figures_of_evaluation(trained: tuple[Finished, RunFolder]) -> None:
    _, run = trained
    records = list(read_json_lines(run.episodes("val", 2)))
    figures = summarise(records)
    assert (figures["n"], {record["source"] for record in records}) == (8, {"world_test"})
    before, after = run.read_metrics()
    assert not any(name.startswith("val") for name in before)
    for n, score in enumerate(figures["exact_match"], start=1):
        assert after[f"val/world_test/exact_match/attempt_{n}"] == pytest.approx(score)
    assert after["val/world_test/any"] == pytest.approx(figures["any"])


def test_every_tracker_has_the_figures_in_the_run_folder(trained: tuple[Finished, RunFolder]) -> None:
    _, run = trained
    events = EventAccumulator(str(run.path / "tensorboard")).Reload()
    rewards = [step["attempt_1/reward"] for step in run.read_metrics()]
    assert [event.value for event in events.Scalars("attempt_1/reward")] == pytest.approx(rewards)
    (mlflow,) = run.path.glob("mlruns/*/*/metrics/attempt_1/reward")
    assert [float(line.split()[1]) for line in mlflow.read_text().splitlines()] == pytest.approx(rewards)
    assert len(list(run.path.glob("wandb/offline-run-*/run-*.wandb"))) == 1


def test_export_of_the_newest_checkpoint(trained: tuple[Finished, RunFolder], tmp_path: Path) -> None:
    _, run = trained
    out = tmp_path / "model"
    assert mrsearch("export", run.path, "--out", out).status == 0
    assert json.loads((out / "config.json").read_text())["dtype"] == "float32"
    assert all(torch.equal(tensor, exported(run, 2)[name]) for name, tensor in weights(out).items())
    again = mrsearch("export", run.path, "--out", out)
    assert (again.status, "is there already" in again.output) == (1, True)
