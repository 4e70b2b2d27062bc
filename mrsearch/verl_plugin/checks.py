"""What is refused of a training configuration before anything starts."""

import difflib
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from verl.trainer.ppo.utils import need_critic, need_reference_policy
from verl.utils.config import validate_config

from mrsearch.credit import ESTIMATORS, NEEDS_PEERS
from mrsearch.episode import EpisodeConfig
from mrsearch.errors import UserError
from mrsearch.rewards import METRICS, Shaping
from mrsearch.verl_plugin.stopping import check_alarms
from mrsearch.verl_plugin.tracking import check_trackers

_CRITIC = "gae"
"""verl's own estimator, the only one with a critic."""


def check(config: DictConfig) -> None:
    """Checks the settings before anything starts.

    Raises:
        UserError: a setting is missing, is not of an accepted value, or contradicts another.
    """
    try:
        settings = OmegaConf.to_container(config.mrsearch, resolve=True, throw_on_missing=True)
        EpisodeConfig(**settings["episode"])
        Shaping(**settings["shaping"])
        check_alarms(settings["alarms"])
        _check_numbers(config)
        _check_words(config)
        _check_estimator(config)
        _check_batches(config)
        _check_machines(config)
        check_trackers(config.trainer.logger)
        validate_config(
            config=config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config)
        )
    except OmegaConfBaseException as error:
        raise UserError(f"The setting {error.full_key!r} has no value; give it as {error.full_key}=VALUE.") from error
    except (AssertionError, ValueError) as error:
        raise UserError(f"The configuration contradicts itself: {error}") from error


class _Range(NamedTuple):
    """Numbers that a setting takes."""

    holds: Callable[[float], bool]
    words: str


_SHARE = _Range(lambda value: 0 <= value <= 1, "a number from 0 to 1")
_PART = _Range(lambda value: 0 < value <= 1, "a number above 0 and at most 1")
_POSITIVE = _Range(lambda value: value > 0, "a number above 0")
_NOT_NEGATIVE = _Range(lambda value: value >= 0, "a number of at least 0")
_COUNT = _Range(lambda value: value >= 1 and value == int(value), "a whole number of at least 1")
_COUNT_OR_NONE = _Range(lambda value: value >= 0 and value == int(value), "a whole number of at least 0")

_ACTOR, _ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
_NUMBERS = {
    "algorithm.gamma": _SHARE,
    "algorithm.lam": _SHARE,
    "algorithm.kl_ctrl.kl_coef": _NOT_NEGATIVE,
    "data.train_batch_size": _COUNT,
    f"{_ACTOR}.ppo_mini_batch_size": _COUNT,
    f"{_ACTOR}.ppo_epochs": _COUNT,
    f"{_ACTOR}.ppo_max_token_len_per_gpu": _COUNT,
    f"{_ACTOR}.clip_ratio": _POSITIVE,
    f"{_ACTOR}.clip_ratio_low": _PART,
    f"{_ACTOR}.clip_ratio_high": _POSITIVE,
    f"{_ACTOR}.kl_loss_coef": _NOT_NEGATIVE,
    f"{_ACTOR}.optim.lr": _POSITIVE,
    f"{_ACTOR}.optim.clip_grad": _POSITIVE,
    f"{_ROLLOUT}.n": _COUNT,
    f"{_ROLLOUT}.temperature": _POSITIVE,
    f"{_ROLLOUT}.top_p": _PART,
    f"{_ROLLOUT}.gpu_memory_utilization": _PART,
    f"{_ROLLOUT}.tensor_model_parallel_size": _COUNT,
    "actor_rollout_ref.model.lora_rank": _COUNT_OR_NONE,
    "trainer.nnodes": _COUNT,
    "trainer.n_gpus_per_node": _COUNT,
    "trainer.total_epochs": _COUNT,
    "mrsearch.gpu_memory_gib": _NOT_NEGATIVE,
}

_KL = ("kl", "k1", "abs", "mse", "k2", "low_var_kl", "k3", "k1+", "k3+")
_WORDS: dict[str, Sequence[str | None]] = {
    "mrsearch.reward": tuple(METRICS),
    "algorithm.adv_estimator": (*ESTIMATORS, _CRITIC),
    "algorithm.kl_penalty": _KL,
    "algorithm.rollout_correction.rollout_is": (None, "token", "sequence"),
    f"{_ACTOR}.kl_loss_type": _KL,
    f"{_ACTOR}.loss_agg_mode": (
        "token-mean",
        "token-sum",
        "seq-mean-token-sum",
        "seq-mean-token-mean",
        "seq-mean-token-sum-norm",
    ),
}


def _check_numbers(config: DictConfig) -> None:
    for name, accepted in _NUMBERS.items():
        value = OmegaConf.select(config, name, throw_on_missing=True)
        if not _is_number(value) or not accepted.holds(value):
            raise UserError(f"{name} is {value!r}; it must be {accepted.words}.")
    steps = config.trainer.total_training_steps
    if steps is not None and not (_is_number(steps) and _COUNT.holds(steps)):
        raise UserError(f"trainer.total_training_steps is {steps!r}; it must be {_COUNT.words}, or null.")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_words(config: DictConfig) -> None:
    for name, accepted in _WORDS.items():
        value = OmegaConf.select(config, name)
        if value not in accepted:
            words = ["null" if word is None else word for word in accepted]
            near = difflib.get_close_matches(str(value), words, n=1)
            hint = f"; did you mean {near[0]}?" if near else "."
            raise UserError(f"{name} is {value!r}; it must be one of {', '.join(words)}{hint}")


def _check_estimator(config: DictConfig) -> None:
    name, group = config.algorithm.adv_estimator, config.actor_rollout_ref.rollout.n
    if name in NEEDS_PEERS and group == 1:
        raise UserError(
            f"{_ROLLOUT}.n is 1, but algorithm.adv_estimator={name} compares the meta-episodes of a question with "
            f"each other; set it to at least 2, or take an estimator that needs no peers."
        )
    if name == _CRITIC and config.mrsearch.episode.context == "short":
        raise UserError(
            f"algorithm.adv_estimator={_CRITIC} credits within one context only, and mrsearch.episode.context=short "
            "gives every attempt one of its own; set it to full, or take another estimator."
        )
    if name == _CRITIC and not need_critic(config):
        raise UserError(f"algorithm.adv_estimator={_CRITIC} needs a critic; set critic.enable=true.")
    if name != _CRITIC and need_critic(config):
        raise UserError(
            f"algorithm.adv_estimator={name} has no use for a critic; set critic.enable=false, or the estimator to "
            f"{_CRITIC}."
        )


def _check_batches(config: DictConfig) -> None:
    actor, rollout = config.actor_rollout_ref.actor, config.actor_rollout_ref.rollout
    prompts, mini = config.data.train_batch_size, actor.ppo_mini_batch_size
    if prompts % mini:
        raise UserError(
            f"data.train_batch_size={prompts} is not a multiple of {_ACTOR}.ppo_mini_batch_size={mini}; "
            "change one of them."
        )
    gpus, engine = config.trainer.n_gpus_per_node * config.trainer.nnodes, rollout.tensor_model_parallel_size
    if gpus % engine:
        raise UserError(
            f"{_ROLLOUT}.tensor_model_parallel_size={engine} does not divide the number of GPUs, {gpus}; "
            f"set it to a divisor of {gpus}."
        )
    if actor.use_dynamic_bsz:
        _check_token_room(config)
    else:
        _check_micro_batches(config, gpus)


def _check_machines(config: DictConfig) -> None:
    machines, settings = config.trainer.nnodes, config.mrsearch
    if machines > 1 and settings.platform == "cuda" and not settings.ray_address:
        raise UserError(
            f"trainer.nnodes={machines} needs a Ray cluster that is up; start one with `ray start` on each machine and "
            "give mrsearch.ray_address=auto."
        )


def _check_token_room(config: DictConfig) -> None:
    """A micro-batch filled by tokens must hold the longest meta-episode; verl 0.9.1 finds out when one comes."""
    actor, rollout = config.actor_rollout_ref.actor, config.actor_rollout_ref.rollout
    context = config.mrsearch.episode.context_tokens
    for name, tokens in (
        (f"{_ACTOR}.ppo_max_token_len_per_gpu", actor.ppo_max_token_len_per_gpu),
        (f"{_ROLLOUT}.log_prob_max_token_len_per_gpu", rollout.log_prob_max_token_len_per_gpu),
    ):
        if tokens * actor.fsdp_config.ulysses_sequence_parallel_size < context:
            raise UserError(
                f"{name}={tokens} does not hold a meta-episode of mrsearch.episode.context_tokens={context}; "
                f"set it to at least that."
            )


def _check_micro_batches(config: DictConfig, gpus: int) -> None:
    """verl 0.9.1 finds out in the first update only."""
    actor, rollout = config.actor_rollout_ref.actor, config.actor_rollout_ref.rollout
    for name, prompts, rows in (
        ("actor.ppo_micro_batch_size_per_gpu", actor.ppo_mini_batch_size, actor.ppo_micro_batch_size_per_gpu),
        (
            "rollout.log_prob_micro_batch_size_per_gpu",
            config.data.train_batch_size,
            rollout.log_prob_micro_batch_size_per_gpu,
        ),
    ):
        per_gpu = prompts * rollout.n // gpus
        if per_gpu % rows:
            raise UserError(
                f"A GPU gets {per_gpu} meta-episodes at a time ({prompts} prompts × {rollout.n} / {gpus} GPUs), which "
                f"actor_rollout_ref.{name}={rows} does not divide; set it to a divisor of {per_gpu}."
            )
