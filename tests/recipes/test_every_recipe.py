"""Every recipe composes, is valid on both platforms, and is described; the published ones have the paper's settings."""

import io
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from mrsearch.errors import UserError
from mrsearch.jobs.dry_run import dry_run
from mrsearch.verl_plugin.checks import check
from mrsearch.verl_plugin.recipes import RECIPES, compose_recipe, recipe_names

GIVEN = ["mrsearch.run=run", "mrsearch.model=model", "mrsearch.train_questions=train.jsonl"]
FOR_GPUS = [name for name in recipe_names() if "platform: cuda" in (RECIPES / name / "recipe.yaml").read_text()]


@pytest.mark.parametrize("platform", ["cpu", "cuda"])
@pytest.mark.parametrize("name", recipe_names())
def test_recipe_composes_and_is_valid(name: str, platform: str) -> None:
    one = ["trainer.nnodes=1", "trainer.n_gpus_per_node=1"] if platform == "cpu" else []
    config = compose_recipe(name, [f"platform={platform}", *one, *GIVEN])
    check(config)
    assert (config.mrsearch.platform, config.trainer.device) == (platform, platform)


# Batches, groups, episode and optimiser, as in the paper's table of settings.
PUBLISHED = {
    "nq_hotpotqa_qwen2.5_3b": ("Qwen/Qwen2.5-3B", 512, 256, 3, 8192),
    "nq_hotpotqa_qwen2.5_7b": ("Qwen/Qwen2.5-7B", 512, 256, 3, 8192),
    "asearcher_qwen2.5_7b": ("Qwen/Qwen2.5-7B", 64, 32, 5, 16384),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_recipe_has_the_published_settings(name: str) -> None:
    config = compose_recipe(name)
    actor, rollout, episode = config.actor_rollout_ref.actor, config.actor_rollout_ref.rollout, config.mrsearch.episode
    batches = (config.data.train_batch_size, actor.ppo_mini_batch_size)
    assert (config.mrsearch.model, *batches, episode.max_searches, episode.context_tokens) == PUBLISHED[name]
    assert (episode.attempts, episode.topk, episode.turn_tokens, episode.observation_tokens) == (3, 3, 1024, 1024)
    assert (rollout.n, rollout.temperature, rollout.top_p) == (5, 1.0, 1.0)
    assert (actor.optim.lr, actor.clip_ratio, actor.use_kl_loss) == (1e-6, 0.2, False)
    assert (config.algorithm.adv_estimator, config.algorithm.gamma) == ("turn_rloo", 1.0)
    assert (config.trainer.total_training_steps, config.trainer.n_gpus_per_node * config.trainer.nnodes) == (300, 8)
    assert (rollout.val_kwargs.temperature, rollout.val_kwargs.do_sample) == (0, False)


def test_two_machines_are_asked_the_same_as_one() -> None:
    one, two = compose_recipe("nq_hotpotqa_qwen2.5_7b"), compose_recipe("nq_hotpotqa_qwen2.5_7b_multinode")
    assert (two.trainer.nnodes, two.mrsearch.ray_address) == (2, "auto")
    for config in (one, two):
        config.trainer.nnodes, config.mrsearch.ray_address, config.mrsearch.recipe_folder = 1, None, ""
    assert one == two


@pytest.mark.parametrize("name", [name for name in FOR_GPUS if name.endswith("_lora")])
def test_lora_recipe_trains_adapters_on_one_gpu(name: str) -> None:
    config = compose_recipe(name)
    assert config.actor_rollout_ref.model.lora_rank == config.actor_rollout_ref.model.lora_alpha == 64
    assert config.trainer.checkpoint_callback_class.endswith("MergeAdapters")
    assert config.trainer.n_gpus_per_node == config.trainer.nnodes == 1


def test_lora_is_one_word_on_the_command_line() -> None:
    assert compose_recipe("quickstart").actor_rollout_ref.model.lora_rank == 0
    assert compose_recipe("quickstart", ["tuning=lora"]).actor_rollout_ref.model.lora_rank == 64


@pytest.mark.parametrize("name", FOR_GPUS)
def test_dry_run_needs_neither_gpu_nor_model_nor_data(name: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mrsearch.jobs.machine.gpu_memory", list)
    console = Console(record=True, file=io.StringIO())
    config = compose_recipe(name, ["mrsearch.run=run"])
    dry_run(config, console)
    said = console.export_text()
    resolved = yaml.safe_load(said)
    assert resolved["actor_rollout_ref"]["model"]["path"] == config.mrsearch.model
    assert "${" not in said.split("# Missing")[0]
    missing = [line for line in said.splitlines() if line.startswith("# Missing: ")]
    assert any(config.mrsearch.train_questions in line for line in missing)
    assert any(f"no model folder {config.mrsearch.model}" in line for line in missing)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["default", "quickstart", "study"])
def test_dry_run_shows_a_recipe_that_lacks_values_and_names_them(name: str) -> None:
    console = Console(record=True, file=io.StringIO())
    dry_run(compose_recipe(name, ["mrsearch.run=run"]), console)
    said = console.export_text()
    assert yaml.safe_load(said)["mrsearch"]["train_questions"] == "<mrsearch.train_questions>"
    missing = [line for line in said.splitlines() if line.startswith("# Missing: ")]
    sentence = "The setting 'mrsearch.train_questions' has no value; give it as mrsearch.train_questions=VALUE."
    assert f"# Missing: {sentence}" in missing


def test_dry_run_refuses_a_context_without_room_for_the_prompts_at_hand(quickstart_model: Path, tmp_path: Path) -> None:
    questions = tmp_path / "train.jsonl"
    questions.write_text('{"question": "Who is it?", "golden_answers": ["Ada"]}\n')
    given = {"run": tmp_path / "run", "model": quickstart_model, "train_questions": questions}
    small = ["mrsearch.episode.context_tokens=60", "mrsearch.episode.turn_tokens=50"]
    config = compose_recipe("default", [*(f"mrsearch.{name}={value}" for name, value in given.items()), *small])
    with pytest.raises(UserError, match="context_tokens is 60, but the longest question's prompt takes"):
        dry_run(config, Console(quiet=True))


@pytest.mark.parametrize("name", recipe_names())
def test_recipe_is_described(name: str) -> None:
    assert f"[{name}]({name}/README.md)" in (RECIPES / "README.md").read_text()
    assert name in (RECIPES / name / "README.md").read_text()


@pytest.mark.parametrize("name", FOR_GPUS)
def test_recipe_for_gpus_says_what_it_needs_and_that_it_was_not_run(name: str) -> None:
    config, text = compose_recipe(name), " ".join((RECIPES / name / "README.md").read_text().split())
    assert f"mrsearch train {name} " in text
    assert config.mrsearch.model in text and config.mrsearch.train_questions in text
    for part in ("## Hardware", "computed, not measured", "## What a successful run shows", "Not run by us"):
        assert part in text, part
    assert f"{config.mrsearch.memory_gib} GiB of host memory" in text
