"""What is refused of a training configuration before anything starts."""

import difflib
import inspect
import math
from collections.abc import Callable
from typing import Any, TypeVar

from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from verl.trainer.ppo.utils import need_critic, need_reference_policy
from verl.utils.config import validate_config

from mrsearch.credit import NEEDS_PEERS
from mrsearch.episode import EpisodeConfig
from mrsearch.errors import UserError
from mrsearch.rewards import Shaping
from mrsearch.verl_plugin.accepted import ACTOR, CRITIC, ELSEWHERE, FIXED, NUMBERS, NUMBERS_OR_NULL, ROLLOUT, WORDS
from mrsearch.verl_plugin.stopping import check_alarms
from mrsearch.verl_plugin.tracking import check_trackers

Settings = TypeVar("Settings")


def check(config: DictConfig) -> None:
    """Checks the settings before anything starts.

    Raises:
        UserError: a setting is missing, is not of an accepted value, or contradicts another.
    """
    try:
        settings = OmegaConf.to_container(config.mrsearch, resolve=True, throw_on_missing=True)
        episode = _settings_of(EpisodeConfig, "mrsearch.episode", settings["episode"])
        _settings_of(Shaping, "mrsearch.shaping", settings["shaping"])
        _check_section("mrsearch.alarms", settings["alarms"])
        check_alarms(settings["alarms"])
        _check_numbers(config)
        _check_words(config)
        _check_fixed(config)
        _check_context(config, episode)
        _check_estimator(config)
        _check_batches(config)
        _check_machines(config)
        check_trackers(config.trainer.logger)
        validate_config(
            config=config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config)
        )
    except OmegaConfBaseException as error:
        raise UserError(no_value(error)) from error
    except (AssertionError, ValueError) as error:
        raise UserError(f"The configuration contradicts itself: {error}") from error
    except HydraException as error:
        raise UserError(f"verl does not take the configuration: {' '.join(str(error).split())}.") from error


def no_value(error: OmegaConfBaseException) -> str:
    """What to say of a setting that was read and has no value."""
    return f"The setting {error.full_key!r} has no value; give it as {error.full_key}=VALUE."


def _settings_of(kind: Callable[..., Settings], name: str, values: Any) -> Settings:
    """Settings checked by the class that they are of."""
    _check_section(name, values)
    known = list(inspect.signature(kind).parameters)
    if unknown := [key for key in values if key not in known]:
        near = difflib.get_close_matches(str(unknown[0]), known, n=1) or known
        raise UserError(f"There is no setting {name}.{unknown[0]}; did you mean {name}.{near[0]}?")
    return kind(**values)


def _check_section(name: str, values: Any) -> None:
    if not isinstance(values, dict):
        raise UserError(f"{name} is {values!r}; it must be left as it is, or hold settings (`--dry-run` shows which).")


def _check_numbers(config: DictConfig) -> None:
    for name, accepted in NUMBERS.items():
        value = OmegaConf.select(config, name, throw_on_missing=True)
        if not _is_number(value) or not accepted.holds(value):
            raise UserError(f"{name} is {value!r}; it must be {accepted.words}.")
    for name, accepted in NUMBERS_OR_NULL.items():
        value = OmegaConf.select(config, name)
        if value is not None and not (_is_number(value) and accepted.holds(value)):
            raise UserError(f"{name} is {value!r}; it must be {accepted.words}, or null.")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_words(config: DictConfig) -> None:
    for name, accepted in WORDS.items():
        value = OmegaConf.select(config, name)
        if value not in accepted:
            words = ["null" if word is None else word for word in accepted]
            elsewhere = ELSEWHERE.get(str(value))
            near = [elsewhere] if elsewhere in words else difflib.get_close_matches(str(value), words, n=1)
            hint = f"; did you mean {near[0]}?" if near else "."
            raise UserError(f"{name} is {value!r}; it must be one of {', '.join(words)}{hint}")


def _check_fixed(config: DictConfig) -> None:
    for name, fixed in FIXED.items():
        value = OmegaConf.select(config, name, default=fixed)
        if value != fixed:
            raise UserError(f"{name} is {value!r}; meta-episodes are trained with {fixed!r} only, so leave it out.")


def _check_context(config: DictConfig, episode: EpisodeConfig) -> None:
    """The context holds more than a turn, and nothing of verl's is shorter than it."""
    context = episode.context_tokens
    if episode.turn_tokens >= context:
        raise UserError(
            f"mrsearch.episode.context_tokens={context} leaves no room for a prompt beside a turn of "
            f"mrsearch.episode.turn_tokens={episode.turn_tokens}; raise the one or lower the other."
        )
    for name in (f"{ROLLOUT}.max_model_len", "data.max_prompt_length", "data.max_response_length"):
        length = OmegaConf.select(config, name)
        if not _is_number(length) or length < context:
            raise UserError(
                f"{name} is {length!r}, less than mrsearch.episode.context_tokens={context}; leave it out, so that it "
                "follows the context."
            )


def _check_estimator(config: DictConfig) -> None:
    name, group = config.algorithm.adv_estimator, config.actor_rollout_ref.rollout.n
    if name in NEEDS_PEERS and group == 1:
        raise UserError(
            f"{ROLLOUT}.n is 1, but algorithm.adv_estimator={name} compares the meta-episodes of a question with "
            f"each other; set it to at least 2, or take an estimator that needs no peers."
        )
    if name == CRITIC and config.mrsearch.episode.context == "short":
        raise UserError(
            f"algorithm.adv_estimator={CRITIC} credits within one context only, and mrsearch.episode.context=short "
            "gives every attempt one of its own; set it to full, or take another estimator."
        )
    if name == CRITIC and not need_critic(config):
        raise UserError(f"algorithm.adv_estimator={CRITIC} needs a critic; set critic.enable=true.")
    if name != CRITIC and need_critic(config):
        raise UserError(
            f"algorithm.adv_estimator={name} has no use for a critic; set critic.enable=false, or the estimator to "
            f"{CRITIC}."
        )


def _check_batches(config: DictConfig) -> None:
    actor, rollout = config.actor_rollout_ref.actor, config.actor_rollout_ref.rollout
    prompts, mini = config.data.train_batch_size, actor.ppo_mini_batch_size
    if prompts % mini:
        raise UserError(
            f"data.train_batch_size={prompts} is not a multiple of {ACTOR}.ppo_mini_batch_size={mini}; "
            "change one of them."
        )
    gpus, engine = config.trainer.n_gpus_per_node * config.trainer.nnodes, rollout.tensor_model_parallel_size
    if gpus % engine:
        raise UserError(
            f"{ROLLOUT}.tensor_model_parallel_size={engine} does not divide the number of GPUs, {gpus}; "
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
        (f"{ACTOR}.ppo_max_token_len_per_gpu", actor.ppo_max_token_len_per_gpu),
        (f"{ROLLOUT}.log_prob_max_token_len_per_gpu", rollout.log_prob_max_token_len_per_gpu),
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
        if rows is None:
            raise UserError(f"actor_rollout_ref.{name} is None; set it to a divisor of {per_gpu}.")
        if per_gpu % rows:
            raise UserError(
                f"A GPU gets {per_gpu} meta-episodes at a time ({prompts} prompts × {rollout.n} / {gpus} GPUs), which "
                f"actor_rollout_ref.{name}={rows} does not divide; set it to a divisor of {per_gpu}."
            )
