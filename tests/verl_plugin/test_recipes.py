"""Recipes are found and composed; what is misspelt is named."""

import pytest
from omegaconf import OmegaConf

from mrsearch.errors import UserError
from mrsearch.verl_plugin.recipes import compose_recipe, override, recipe_names

GIVEN = ["mrsearch.run=run", "mrsearch.model=model", "mrsearch.train_questions=train.jsonl"]


def test_quickstart_is_there() -> None:
    assert "quickstart" in recipe_names()


@pytest.mark.parametrize(
    ("recipe", "override", "sentence"),
    [
        ("quickstrat", "mrsearch.run=r", "There is no recipe 'quickstrat'; give one of"),
        ("quickstart", "mrsearch.episode.atempts=2", "There is no setting 'mrsearch.episode.atempts'; did you mean"),
        ("quickstart", "no_such_thing=2", "There is no setting 'no_such_thing'"),
        ("quickstart", "tuning=loar", "There is no tuning 'loar'; give one of full, lora."),
        ("quickstart", "platform=tpu", "There is no platform 'tpu'; give one of cpu, cuda."),
        ("quickstart", "a=b=c{", "The setting 'a=b=c{' cannot be read; write key=value"),
        ("quickstart", "mrsearch.run=a, b", """quote a value with commas.*: "mrsearch.run='a, b'"."""),
        ("quickstart", "rollout.n=1", "no setting 'rollout.n'; did you mean 'actor_rollout_ref.rollout.n'?"),
    ],
)
def test_bad_recipe_or_override_is_one_sentence(recipe: str, override: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as caught:
        compose_recipe(recipe, [override])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", ["plain", "with space", "it's", "a=b", "[x]{y}", "50%,a"])
def test_paths_may_hold_any_character(path: str) -> None:
    assert compose_recipe("default", [override("mrsearch.run", path)]).mrsearch.run == path


def test_recipe_given_by_its_path(tmp_path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("defaults: [train, _self_]\ndata:\n  train_batch_size: 3\n")
    config = compose_recipe(str(file), GIVEN)
    assert config.data.train_batch_size == 3
    assert OmegaConf.select(config, "mrsearch.recipe_folder") == str(tmp_path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("mrsearch: {token_bugdet: 5}", "no setting 'mrsearch.token_bugdet'; did you mean 'mrsearch.token_budget'?"),
        ("actor_rollout_ref: {actor: {optim: {rl: 1}}}", r"no setting 'actor_rollout_ref\.actor\.optim\.rl'"),
        ("trainer: {save_frq: 5}", "no setting 'trainer.save_frq'; did you mean 'trainer.save_freq'?"),
    ],
)
def test_a_misspelt_key_of_a_file_is_refused(text: str, sentence: str, tmp_path) -> None:
    (tmp_path / "mine.yaml").write_text(f"defaults: [train, _self_]\n{text}\n")
    with pytest.raises(UserError, match=sentence):
        compose_recipe(str(tmp_path / "mine.yaml"), GIVEN)


def test_a_file_may_have_a_section_of_its_own_and_pass_settings_on_to_an_engine(tmp_path) -> None:
    engine = "actor_rollout_ref: {rollout: {engine_kwargs: {vllm: {block_size: 32}}}}"
    (tmp_path / "mine.yaml").write_text(f"defaults: [train, _self_]\nmine: {{a: 1}}\n{engine}\n")
    assert compose_recipe(str(tmp_path / "mine.yaml"), GIVEN).mine.a == 1


def test_a_file_that_is_no_recipe_is_one_sentence(tmp_path) -> None:
    (tmp_path / "mine.yaml").write_text("data: {train_batch_size: 3}\n")
    with pytest.raises(UserError) as caught:
        compose_recipe(str(tmp_path / "mine.yaml"), GIVEN)
    assert "\n" not in str(caught.value)
