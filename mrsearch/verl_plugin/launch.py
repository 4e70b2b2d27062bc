"""Trains inside the Ray cluster this process is connected to."""

import time
from collections.abc import Callable
from pathlib import Path

import ray
from omegaconf import DictConfig
from verl.trainer.constants_ppo import get_ppo_ray_runtime_env

from mrsearch.errors import JobFailed
from mrsearch.runs import RunFolder
from mrsearch.verl_plugin.stopping import Collapsed
from mrsearch.verl_plugin.tracking import tracking_environment

_POLL_SECONDS = 0.5
_RELEASE_SECONDS = 60.0


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
    try:
        while not ray.wait([done], timeout=_POLL_SECONDS)[0]:
            guard.check()
            watch()
        watch()
        ray.get(done)
        _await_release(float(config.trainer.n_gpus_per_node * config.trainer.nnodes))
    except ray.exceptions.RayError as error:
        if isinstance(getattr(error, "cause", None), Collapsed):
            raise JobFailed(f"Training stopped: {error.cause}.") from error
        raise JobFailed(f"Training failed: {_last_line(error)}; the logs are in {run.logs}.") from error
    finally:
        ray.kill(runner)


def _await_release(gpus: float) -> None:
    """Waits until another training could begin in this cluster; not for ever, for others may use it."""
    deadline = time.monotonic() + _RELEASE_SECONDS
    while ray.available_resources().get("GPU", 0.0) < gpus and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)


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
