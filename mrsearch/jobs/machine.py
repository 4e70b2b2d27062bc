"""What this machine has, and whether it is enough."""

import psutil
from omegaconf import DictConfig

from mrsearch.errors import UserError
from retriever.indexes.java import find_java
from retriever.service.ray_serve import check_port

_GIB = 2**30


def detect_platform() -> str:
    """Returns "cuda" where torch sees a GPU, else "cpu"."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def gpu_memory() -> list[float]:
    """GiB of each GPU that torch sees."""
    import torch

    return [torch.cuda.get_device_properties(gpu).total_memory / _GIB for gpu in range(torch.cuda.device_count())]


def check_machine(config: DictConfig) -> None:
    """Checks that this machine has what a training asks for; the GPUs of a cluster that is joined are the cluster's.

    Raises:
        UserError: memory, a GPU, a port or Java is missing.
    """
    settings = config.mrsearch
    if settings.platform == "cuda" and not settings.ray_address:
        _check_gpus(config.trainer.n_gpus_per_node, settings.gpu_memory_gib)
    gib, free = settings.memory_gib, psutil.virtual_memory().available / _GIB
    if free < gib:
        raise UserError(
            f"The run needs {gib:g} GiB of free memory and {free:.1f} GiB are; close other programs, "
            "or set mrsearch.memory_gib where you know better."
        )
    if settings.port:
        check_port("127.0.0.1", settings.port)
    if settings.corpus or settings.index:
        find_java()


def _check_gpus(number: int, gib: float) -> None:
    found = gpu_memory()
    if not found:
        raise UserError(
            "The run is for GPUs (platform=cuda) and torch sees none here; take a machine that has them, "
            "or a recipe for the CPU such as quickstart."
        )
    if len(found) < number:
        raise UserError(
            f"The run needs {number} GPUs and this machine has {len(found)}; "
            f"set trainer.n_gpus_per_node to at most {len(found)}."
        )
    if min(found) < gib:
        raise UserError(
            f"The run needs GPUs of {gib:g} GiB and the smallest here has {min(found):.1f} GiB; take a smaller recipe, "
            "or set mrsearch.gpu_memory_gib where you know better."
        )
