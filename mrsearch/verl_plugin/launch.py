"""Starts a training run inside a Ray cluster and waits for it."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ray
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from verl.trainer.constants_ppo import get_ppo_ray_runtime_env
from verl.trainer.ppo.utils import need_critic, need_reference_policy
from verl.utils.config import validate_config

from mrsearch.errors import UserError
from mrsearch.runs import RunFolder

_POLL_SECONDS = 0.5


def check(config: DictConfig) -> None:
    """Checks what can be checked before anything starts.

    Raises:
        UserError: a setting is missing or contradicts another.
    """
    try:
        OmegaConf.to_container(config.mrsearch, resolve=True, throw_on_missing=True)
        validate_config(
            config=config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config)
        )
    except OmegaConfBaseException as error:
        raise UserError(f"The setting {error.full_key!r} has no value; give it as {error.full_key}=VALUE.") from error
    except (AssertionError, ValueError) as error:
        raise UserError(f"The configuration contradicts itself: {error}") from error


def worker_environment(config: DictConfig) -> dict[str, str]:
    """Environment variables of all the run's processes."""
    own = {"VERL_FILE_LOGGER_PATH": str(_metrics_file(config)), "TRANSFER_QUEUE_ENABLE": "1"}
    return {**get_ppo_ray_runtime_env(config)["env_vars"], **own}


def run(config: DictConfig, watch: Callable[[], None]) -> None:
    """Trains in the Ray cluster this process is connected to; calls `watch` twice a second.

    Raises:
        ray.exceptions.RayError: the trainer or one of its workers failed.
    """
    from mrsearch.verl_plugin.task_runner import TaskRunner

    _metrics_file(config).parent.mkdir(parents=True, exist_ok=True)
    runner = TaskRunner.options(runtime_env={"env_vars": worker_environment(config)}).remote()
    done = runner.run.remote(config)
    while not ray.wait([done], timeout=_POLL_SECONDS)[0]:
        watch()
    watch()
    ray.get(done)


def _metrics_file(config: DictConfig) -> Path:
    folder = RunFolder(Path(config.mrsearch.run))
    last = folder.last_checkpoint()
    return folder.metrics / f"{last[0] if last else 0:06d}.jsonl"
