"""The Ray cluster of a job: one of its own on this machine, or one that is already running."""

import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import ray

from mrsearch.errors import UserError
from retriever.service.ray_cluster import ray_environment

# What the processes of a machine without a GPU need to be told. VLLM_CPU_KVCACHE_SPACE is in GiB. vLLM allows a model
# in the engine's own process only where its multiprocessing is off; AsyncLLM's engine has a process of its own even so.
CPU_ENVIRONMENT = {
    "VERL_PLATFORM": "cpu",
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
COMMON_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "VLLM_NO_USAGE_STATS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}


def environment(platform: str) -> dict[str, str]:
    """Environment variables of a platform's processes; what the user has set wins."""
    wanted = COMMON_ENVIRONMENT | (CPU_ENVIRONMENT if platform == "cpu" else {})
    return {name: os.environ.get(name, value) for name, value in wanted.items()}


@contextmanager
def ray_cluster(platform: str, logs: Path, *, logical_gpus: int = 1, address: str | None = None) -> Iterator[None]:
    """Connects this process to a Ray cluster for the time of a job.

    Without an address the cluster is this job's own, apart from any other on the machine, and ends with it; its
    logs are then moved to `logs`. With one (`auto`, `host:port`) the job joins that cluster and leaves it running.

    Args:
        platform: "cpu" or "cuda".
        logs: folder that receives the cluster's logs.
        logical_gpus: on "cpu", the number of GPUs Ray is to count; no hardware stands behind them.
        address: of a running cluster.

    Raises:
        UserError: there is no cluster at the address.
    """
    variables = environment(platform)
    if address:
        with _joined(address, variables):
            yield
    else:
        with _own(platform, logs, logical_gpus, variables):
            yield


@contextmanager
def _joined(address: str, variables: Mapping[str, str]) -> Iterator[None]:
    try:
        ray.init(
            address=address,
            runtime_env=_shared(variables, None),
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except ConnectionError as error:
        raise UserError(f"There is no Ray cluster at {address!r}; start one with `ray start --head`.") from error
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _own(platform: str, logs: Path, logical_gpus: int, variables: Mapping[str, str]) -> Iterator[None]:
    # Ray's sockets live in its folder, and a socket's path may hold about 100 characters only.
    folder = Path(tempfile.mkdtemp(prefix="mrs-"))
    started = time.time()
    cpu_only = {"num_cpus": max(16, os.cpu_count() or 1), "num_gpus": logical_gpus} if platform == "cpu" else {}
    try:
        ray.init(
            address="local",
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=1_000_000_000 if platform == "cpu" else None,
            runtime_env=_shared(variables, folder),
            _temp_dir=str(folder),
            **cpu_only,
        )
        yield
    finally:
        family = psutil.Process().children(recursive=True)
        ray.shutdown()
        psutil.wait_procs(family, timeout=10)
        _free_shared_memory(since=started)
        _keep_logs(folder, logs)
        shutil.rmtree(folder, ignore_errors=True)


def _shared(variables: Mapping[str, str], folder: Path | None) -> dict[str, object]:
    """Gives this process, and the cluster's, the variables of the job and those that tune its retriever."""
    wanted = {**variables, **ray_environment(folder)}
    os.environ.update(wanted)
    return {"env_vars": wanted}


def _free_shared_memory(since: float) -> None:
    """Removes what vLLM's processes leave in shared memory when they are killed.

    Those are this user's segments that were made since the job began and that no process maps.
    """
    mapped = {word for maps in Path("/proc").glob("[0-9]*/maps") for word in _words(maps)}
    for segment in Path("/dev/shm").glob("psm_*"):
        with suppress(FileNotFoundError):
            about = segment.stat()
            if str(segment) not in mapped and about.st_uid == os.getuid() and about.st_ctime >= since:
                segment.unlink()


def _words(maps: Path) -> list[str]:
    try:
        return maps.read_text().split()
    except OSError:  # the process ended meanwhile, or is another user's
        return []


def _keep_logs(folder: Path, logs: Path) -> None:
    for session in folder.glob("session_2*/logs"):
        target = logs / "ray" / session.parent.name
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(session, target, ignore_dangling_symlinks=True)
