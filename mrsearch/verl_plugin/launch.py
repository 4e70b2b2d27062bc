"""Checks a training configuration, and trains inside the Ray cluster this process is connected to."""

import time
from collections.abc import Callable
from pathlib import Path

import ray
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from verl.trainer.constants_ppo import get_ppo_ray_runtime_env
from verl.trainer.ppo.utils import need_critic, need_reference_policy
from verl.utils.config import validate_config

from mrsearch.episode import EpisodeConfig
from mrsearch.errors import JobFailed, UserError
from mrsearch.runs import RunFolder
from mrsearch.verl_plugin.stopping import Collapsed, check_alarms
from mrsearch.verl_plugin.tracking import check_trackers, tracking_environment

_POLL_SECONDS = 0.5


def check(config: DictConfig) -> None:
    """Checks the settings before anything starts.

    Raises:
        UserError: a setting is missing or contradicts another.
    """
    try:
        settings = OmegaConf.to_container(config.mrsearch, resolve=True, throw_on_missing=True)
        EpisodeConfig(**settings["episode"])
        check_alarms(settings["alarms"])
        _check_micro_batches(config)
        check_trackers(config.trainer.logger)
        validate_config(
            config=config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config)
        )
    except OmegaConfBaseException as error:
        raise UserError(f"The setting {error.full_key!r} has no value; give it as {error.full_key}=VALUE.") from error
    except (AssertionError, ValueError) as error:
        raise UserError(f"The configuration contradicts itself: {error}") from error


def _check_micro_batches(config: DictConfig) -> None:
    """verl 0.9.1 finds out in the first update only."""
    actor, rollout = config.actor_rollout_ref.actor, config.actor_rollout_ref.rollout
    if actor.use_dynamic_bsz:
        return
    gpus = config.trainer.n_gpus_per_node * config.trainer.nnodes
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


def train_in_cluster(config: DictConfig, watch: Callable[[], None]) -> None:
    """Trains until the last step or the end of the data; calls `watch` twice a second.

    Starts after the newest checkpoint of the run folder, if there is one.

    Raises:
        JobFailed: the trainer or one of its workers failed, or no step ended within `mrsearch.stall_minutes`.
    """
    from mrsearch.verl_plugin.task_runner import TaskRunner

    run = RunFolder(Path(config.mrsearch.run))
    last = run.last_checkpoint()
    start = last[0] if last else 0
    run.forget_after(start)
    run.metrics.mkdir(parents=True, exist_ok=True)
    metrics = run.metrics / f"{start:06d}.jsonl"
    own = {"VERL_FILE_LOGGER_PATH": str(metrics), "TRANSFER_QUEUE_ENABLE": "1", **tracking_environment(run)}
    runtime_env = {"env_vars": {**get_ppo_ray_runtime_env(config)["env_vars"], **own}}
    runner = TaskRunner.options(runtime_env=runtime_env).remote()
    done = runner.run.remote(config)
    guard = _StallGuard(metrics, 60.0 * config.mrsearch.stall_minutes)
    while not ray.wait([done], timeout=_POLL_SECONDS)[0]:
        guard.check()
        watch()
    watch()
    try:
        ray.get(done)
    except ray.exceptions.RayError as error:
        if isinstance(getattr(error, "cause", None), Collapsed):
            raise JobFailed(f"Training stopped: {error.cause}.") from error
        raise JobFailed(f"Training failed: {_last_line(error)}; the logs are in {run.logs}.") from error


class _StallGuard:
    """Ends a run that hangs: verl's weight sender, for one, waits for ever when a receiver has died."""

    def __init__(self, metrics: Path, seconds: float) -> None:
        self._metrics, self._seconds = metrics, seconds
        self._size, self._since = -1, time.monotonic()

    def check(self) -> None:
        size = self._metrics.stat().st_size if self._metrics.exists() else 0
        if size != self._size:
            self._size, self._since = size, time.monotonic()
        elif time.monotonic() - self._since > self._seconds:
            raise JobFailed(
                f"No training step ended within {self._seconds / 60:g} minutes; "
                "mrsearch.stall_minutes sets how long to wait."
            )


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else type(error).__name__
