"""Contradictory settings are refused before anything starts, in one sentence that says what to change."""

import pytest
from omegaconf import DictConfig, OmegaConf

from mrsearch.credit import ESTIMATORS, NEEDS_PEERS
from mrsearch.errors import UserError
from mrsearch.verl_plugin.checks import check
from mrsearch.verl_plugin.recipes import compose_recipe

GIVEN = ["mrsearch.run=run", "mrsearch.model=model", "mrsearch.train_questions=train.jsonl"]
ACTOR, ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"


@pytest.fixture(scope="module")
def composed() -> DictConfig:
    return compose_recipe("default", GIVEN)


@pytest.fixture(scope="module")
def composed_cuda() -> DictConfig:
    return compose_recipe("default", [*GIVEN, "platform=cuda"])


def with_settings(config: DictConfig, settings: dict[str, object]) -> DictConfig:
    """A copy with other values."""
    config = config.copy()
    for name, value in settings.items():
        OmegaConf.update(config, name, value)
    return config


def test_a_sound_configuration_passes(composed: DictConfig, composed_cuda: DictConfig) -> None:
    check(composed)
    check(composed_cuda)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("mrsearch.model", "???", "'mrsearch.model' has no value; give it as mrsearch.model=VALUE"),
        ("mrsearch.episode.attempts", 0, "episode.attempts is 0; it must be"),
        ("mrsearch.episode.prompts", "loud", "episode.prompts is 'loud'; it must be one of"),
        ("mrsearch.reward", "exact_macht", "mrsearch.reward is 'exact_macht'; .* did you mean exact_match?"),
        ("mrsearch.gpu_memory_gib", -1, "mrsearch.gpu_memory_gib is -1; it must be a number of at least 0"),
        ("algorithm.gamma", 1.5, "algorithm.gamma is 1.5; it must be a number from 0 to 1"),
        ("algorithm.gamma", -0.1, "algorithm.gamma is -0.1; it must be a number from 0 to 1"),
        ("algorithm.gamma", float("nan"), "algorithm.gamma is nan; it must be a number from 0 to 1"),
        ("algorithm.gamma", True, "algorithm.gamma is True; it must be a number from 0 to 1"),
        ("algorithm.lam", 2, "algorithm.lam is 2; it must be a number from 0 to 1"),
        ("algorithm.adv_estimator", "turn_rlo", "is 'turn_rlo'; it must be one of .*gae; did you mean turn_rloo?"),
        ("algorithm.adv_estimator", "magic", "is 'magic'; it must be one of .*turn_rloo.*gae"),
        ("algorithm.rollout_correction.rollout_is", "tokens", "did you mean token?"),
        ("algorithm.kl_penalty", "k4", "algorithm.kl_penalty is 'k4'; it must be one of"),
        ("data.train_batch_size", 0, "data.train_batch_size is 0; it must be a whole number of at least 1"),
        ("data.train_batch_size", 2.5, "data.train_batch_size is 2.5; it must be a whole number of at least 1"),
        (f"{ROLLOUT}.n", 0, "rollout.n is 0; it must be a whole number of at least 1"),
        (f"{ROLLOUT}.temperature", 0, "rollout.temperature is 0; it must be a number above 0"),
        (f"{ROLLOUT}.temperature", "hot", "rollout.temperature is 'hot'; it must be a number above 0"),
        (f"{ROLLOUT}.gpu_memory_utilization", 1.2, "is 1.2; it must be a number above 0 and at most 1"),
        (
            f"{ROLLOUT}.tensor_model_parallel_size",
            2,
            "tensor_model_parallel_size=2 does not divide the number of GPUs, 1; set it to a divisor of 1",
        ),
        (f"{ACTOR}.optim.lr", 0, "optim.lr is 0; it must be a number above 0"),
        (f"{ACTOR}.optim.lr", -1e-6, "optim.lr is -1e-06; it must be a number above 0"),
        (f"{ACTOR}.clip_ratio", 0, "clip_ratio is 0; it must be a number above 0"),
        (f"{ACTOR}.clip_ratio_low", 1.5, "clip_ratio_low is 1.5; it must be a number above 0 and at most 1"),
        (f"{ACTOR}.clip_ratio_high", -0.2, "clip_ratio_high is -0.2; it must be a number above 0"),
        (f"{ACTOR}.kl_loss_coef", -1, "kl_loss_coef is -1; it must be a number of at least 0"),
        (f"{ACTOR}.kl_loss_type", "kull", "kl_loss_type is 'kull'; it must be one of .* did you mean"),
        (f"{ACTOR}.loss_agg_mode", "token-maen", "did you mean token-mean?"),
        (f"{ACTOR}.ppo_mini_batch_size", 48, "train_batch_size=64 is not a multiple of .*ppo_mini_batch_size=48"),
        (f"{ACTOR}.ppo_mini_batch_size", 1000, "train_batch_size=64 is not a multiple of .*ppo_mini_batch_size=1000"),
        (f"{ACTOR}.ppo_micro_batch_size_per_gpu", 7, "set it to a divisor of 320"),
        ("actor_rollout_ref.model.lora_rank", -8, "lora_rank is -8; it must be a whole number of at least 0"),
        ("trainer.total_training_steps", 0, "total_training_steps is 0; it must be .* or null"),
        ("trainer.save_freq", "often", "trainer.save_freq is 'often'; it must be a number of steps, or -1 for never"),
        ("trainer.logger", ["wnadb"], "trainer.logger names 'wnadb'; choose of .*wandb"),
        ("trainer.v1.trainer_mode", "sync", "is 'sync'; meta-episodes are trained with 'mrsearch' only"),
        ("algorithm.rollout_correction.bypass_mode", True, "is True; meta-episodes are trained with False only"),
        (f"{ROLLOUT}.calculate_log_probs", False, "is False; meta-episodes are trained with True only"),
        (f"{ROLLOUT}.max_model_len", 100, "max_model_len is 100, less than mrsearch.episode.context_tokens=8192"),
        (f"{ACTOR}.ppo_micro_batch_size_per_gpu", 0, "is 0; it must be a whole number of at least 1, or null"),
        (f"{ACTOR}.ppo_micro_batch_size_per_gpu", None, "is None; set it to a divisor of 320"),
        ("algorithm.adv_estimator", "grpo", "did you mean trajectory_grpo?"),
        ("mrsearch.token_budget", -5, "mrsearch.token_budget is -5; it must be a whole number of at least 1, or null"),
        ("mrsearch.seed", "abc", "mrsearch.seed is 'abc'; it must be a whole number of at least 0"),
        ("mrsearch.stall_minutes", 0, "mrsearch.stall_minutes is 0; it must be a number above 0"),
        ("mrsearch.episode.context_tokens", 1000, "context_tokens=1000 leaves no room for a prompt beside a turn"),
        ("mrsearch.episode.attempt_tokens", "abc", "episode.attempt_tokens is 'abc'; it must be"),
        ("mrsearch.episode.final_turn", "maybe", "episode.final_turn is 'maybe'; it must be true or false"),
        ("mrsearch.episode.prompts", ["base"], r"episode.prompts is \['base'\]; it must be one of"),
        ("mrsearch.episode.reflection_prompt", ["brief"], r"episode.reflection_prompt is \['brief'\]; it must be null"),
        ("mrsearch.shaping", None, "mrsearch.shaping is None; it must be left as it is"),
        ("critic.enable", True, "turn_rloo has no use for a critic; set critic.enable=false, or the estimator to gae"),
    ],
)
def test_a_bad_setting_is_refused(composed: DictConfig, name: str, value: object, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as caught:
        check(with_settings(composed, {name: value}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("estimator", NEEDS_PEERS)
def test_a_group_of_one_has_no_peers(composed: DictConfig, estimator: str) -> None:
    alone = {f"{ROLLOUT}.n": 1, "algorithm.adv_estimator": estimator}
    with pytest.raises(UserError, match=f"rollout.n is 1, but algorithm.adv_estimator={estimator} .* at least 2"):
        check(with_settings(composed, alone))


@pytest.mark.parametrize("estimator", sorted(set(ESTIMATORS) - set(NEEDS_PEERS)))
def test_other_estimators_take_a_group_of_one(composed: DictConfig, estimator: str) -> None:
    check(with_settings(composed, {f"{ROLLOUT}.n": 1, "algorithm.adv_estimator": estimator}))


def test_gae_needs_its_critic(composed: DictConfig) -> None:
    with pytest.raises(UserError, match=r"adv_estimator=gae needs a critic; set critic\.enable=true"):
        check(with_settings(composed, {"algorithm.adv_estimator": "gae", "critic.enable": False}))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_step_level_goes_with_any_estimator(composed: DictConfig, estimator: str) -> None:
    check(with_settings(composed, {"mrsearch.episode.level": "step", "algorithm.adv_estimator": estimator}))


@pytest.mark.parametrize("name", [f"{ACTOR}.ppo_max_token_len_per_gpu", f"{ROLLOUT}.log_prob_max_token_len_per_gpu"])
def test_a_micro_batch_must_hold_a_meta_episode(composed_cuda: DictConfig, name: str) -> None:
    short = {name: 8191}
    with pytest.raises(UserError, match=f"{name}=8191 does not hold a meta-episode .*context_tokens=8192"):
        check(with_settings(composed_cuda, short))
    check(with_settings(composed_cuda, {name: 8192}))


def test_several_machines_need_a_cluster(composed_cuda: DictConfig) -> None:
    with pytest.raises(UserError, match=r"trainer\.nnodes=2 needs a Ray cluster .* mrsearch\.ray_address=auto"):
        check(with_settings(composed_cuda, {"trainer.nnodes": 2}))
    check(with_settings(composed_cuda, {"trainer.nnodes": 2, "mrsearch.ray_address": "auto"}))


def test_a_wider_clip_range_upwards_is_one_field(composed: DictConfig) -> None:
    actor = with_settings(composed, {f"{ACTOR}.clip_ratio_high": 0.28}).actor_rollout_ref.actor
    assert (actor.clip_ratio_low, actor.clip_ratio_high) == (0.2, 0.28)
    actor = with_settings(composed, {f"{ACTOR}.clip_ratio": 0.1}).actor_rollout_ref.actor
    assert (actor.clip_ratio_low, actor.clip_ratio_high) == (0.1, 0.1)


def test_gae_needs_one_context(composed: DictConfig) -> None:
    with pytest.raises(UserError, match="credits within one context only"):
        check(with_settings(composed, {"algorithm.adv_estimator": "gae", "mrsearch.episode.context": "short"}))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("+mrsearch.episode.atempts=2", "no setting mrsearch.episode.atempts; did you mean mrsearch.episode.attempts?"),
        ("+mrsearch.shaping.fromat=1", "no setting mrsearch.shaping.fromat; did you mean mrsearch.shaping.format?"),
        ("+actor_rollout_ref.actor.optim.learning_rate=1", "verl does not take the configuration: .*learning_rate"),
    ],
)
def test_a_setting_that_is_added_and_not_known_is_refused(given: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as caught:
        check(compose_recipe("default", [*GIVEN, given]))
    assert "\n" not in str(caught.value)
