"""Every recipe trains: with a tiny model and a small world in the place of its own, and all else smaller."""

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import Finished, mrsearch  # type: ignore[import-not-found]
from safetensors.torch import load_file

from mrsearch.runs import RunFolder, read_json_lines
from mrsearch.verl_plugin.recipes import compose_recipe, recipe_names

pytestmark = pytest.mark.slow

# The episode's shape, the group, the estimator, the losses and what is trained stay the recipe's own.
SHRUNK = [
    "platform=cpu",
    "trainer.nnodes=1",
    "trainer.n_gpus_per_node=1",
    "trainer.total_training_steps=1",
    "trainer.save_freq=1",
    "mrsearch.memory_gib=4",
    "mrsearch.gpu_memory_gib=0",
    "mrsearch.ray_address=null",
    "mrsearch.episode.turn_tokens=48",
    "mrsearch.episode.observation_tokens=96",
    "mrsearch.episode.context_tokens=1024",
    "mrsearch.episode.prompts=brief",
    "data.train_batch_size=8",
    "actor_rollout_ref.actor.ppo_mini_batch_size=4",
    "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=20",
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=8192",
    "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=20",
    "actor_rollout_ref.rollout.gpu_memory_utilization=0.1",
    "actor_rollout_ref.rollout.max_num_seqs=64",
    "actor_rollout_ref.rollout.max_num_batched_tokens=2048",
]

# Trained by their own tests.
RECIPES = [name for name in recipe_names() if name not in ("quickstart", "study")]
ADAPTED = [name for name in RECIPES if name.endswith("_lora")]
OF_QWEN3 = [name for name in RECIPES if "qwen3" in name and name not in ADAPTED]

Train = Callable[..., tuple[Finished, RunFolder]]


@pytest.fixture(scope="module")
def train(
    small_world: Path, quickstart_model: Path, random_qwen3: Path, tmp_path_factory: pytest.TempPathFactory
) -> Train:
    """Trains a shrunk recipe; one that differs from an earlier one in nothing is not trained again."""
    given = {"questions": small_world / "train.jsonl", "corpus": small_world / "corpus.jsonl"}
    done: dict[str, tuple[Finished, RunFolder]] = {}

    def run(recipe: str, *settings: str) -> tuple[Finished, RunFolder]:
        model = random_qwen3 if recipe in OF_QWEN3 else quickstart_model
        config = compose_recipe(recipe, [*SHRUNK, *settings, f"mrsearch.model={model}", "mrsearch.train_questions=q"])
        config.mrsearch.recipe_folder = ""
        if str(config) not in done:
            folder = RunFolder(tmp_path_factory.mktemp(recipe) / "run")
            options = [f"--{name}={path}" for name, path in {**given, "model": model, "out": folder.path}.items()]
            done[str(config)] = mrsearch("train", recipe, *SHRUNK, *settings, *options), folder
        return done[str(config)]

    return run


@pytest.mark.parametrize("recipe", [name for name in RECIPES if name not in ADAPTED])
def test_recipe_trains_for_a_step(recipe: str, train: Train) -> None:
    finished, run = train(recipe)
    assert finished.status == 0, finished.output
    assert finished.left == []
    (step,) = run.read_metrics()
    assert step["episodes/n"] == 8 * 5
    assert step["mismatch/logprob_abs_mean"] <= 1e-5
    if recipe not in OF_QWEN3:  # whose random weights earn nothing
        assert step["actor/grad_norm"] > 0


@pytest.mark.parametrize("recipe", ADAPTED)
def test_lora_recipe_trains_adapters_alone_and_shows_them_to_the_engine(
    recipe: str, train: Train, quickstart_model: Path
) -> None:
    # At the recipe's learning rate an engine without the adapters could not be told from one with them.
    finished, run = train(recipe, "actor_rollout_ref.actor.optim.lr=3e-3", "trainer.total_training_steps=2")
    assert finished.status == 0, finished.output
    _, second = run.read_metrics()
    assert second["mismatch/logprob_abs_mean"] <= 1e-5

    before, after = weights(quickstart_model), weights(run.checkpoints / "global_step_1" / "actor" / "huggingface")
    assert before.keys() == after.keys(), "the adapters are merged"
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if "_proj.weight" in name}
    assert max((after[name] - before[name]).abs().max().item() for name in changed) > 1e-4


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for file in folder.glob("*.safetensors") for name, tensor in load_file(file).items()}


def test_stability_settings_and_dynamic_sampling_work_together(train: Train) -> None:
    settings = [
        "algorithm.filter_groups.enable=true",
        "algorithm.rollout_correction.rollout_is=token",
        "actor_rollout_ref.actor.clip_ratio_high=0.28",
        "actor_rollout_ref.actor.use_kl_loss=true",
        "actor_rollout_ref.actor.loss_agg_mode=seq-mean-token-mean",
        "actor_rollout_ref.actor.optim.lr=3e-4",
        "actor_rollout_ref.actor.ppo_mini_batch_size=8",
        "trainer.total_training_steps=2",
    ]
    finished, run = train("default", *settings)
    assert finished.status == 0, finished.output
    first, second = run.read_metrics()
    for step in (first, second):
        assert step["rollout_corr/rollout_is_mean"] == pytest.approx(1, abs=1e-3)
        assert step["actor/grad_norm"] > 0
    # One update a step: in the first the policy is still the reference itself.
    assert first["actor/kl_loss"] == pytest.approx(0, abs=1e-9) and second["actor/kl_loss"] > 1e-6

    # Groups that teach nothing were replaced, so that the step has kept its size.
    assert (first["episodes/n"], first["groups/n"]) == (8 * 5, 8)
    assert (first["groups/all_equal"], first["groups/dropped"]) == (0, 0)
    sampled = defaultdict(list)
    for record in read_json_lines(run.episodes("train", 1)):
        sampled[record["group"]].append(record["rewards"])
    equal = [group for group, rewards in sampled.items() if all(reward == rewards[0] for reward in rewards)]
    assert first["training/filter_groups/evicted_samples"] == len(equal) > 0
