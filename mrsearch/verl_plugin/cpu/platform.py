"""A verl platform without an accelerator; selected by `VERL_PLATFORM=cpu`.

verl 0.9.1 knows cuda, rocm and npu only, and calls the functions of an accelerator's torch module unconditionally.
"""

import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import torch
from verl.plugin.platform import PlatformBase, PlatformRegistry

_NOTHING_TO_DO = (
    "empty_cache",
    "ipc_collect",
    "manual_seed",
    "manual_seed_all",
    "reset_accumulated_memory_stats",
    "reset_peak_memory_stats",
    "set_device",
    "set_per_process_memory_fraction",
    "synchronize",
)
_RESIDENT_MEMORY = ("memory_allocated", "memory_reserved", "max_memory_allocated", "max_memory_reserved")


def _device_module() -> types.ModuleType:
    """`torch.cpu` with the functions verl calls on an accelerator's module."""
    module = types.ModuleType("mrsearch_cpu_device")
    vars(module).update({name: value for name, value in vars(torch.cpu).items() if not name.startswith("__")})
    vars(module).update(dict.fromkeys(_NOTHING_TO_DO, _do_nothing))
    vars(module).update(dict.fromkeys(_RESIDENT_MEMORY, _resident_bytes))
    vars(module).update(
        is_available=lambda: True,
        get_device_name=lambda *_: "CPU",
        mem_get_info=lambda *_: (psutil.virtual_memory().available, psutil.virtual_memory().total),
        get_rng_state=torch.get_rng_state,
        set_rng_state=torch.set_rng_state,
    )
    return module


def _do_nothing(*_args: Any, **_kwargs: Any) -> None:
    return


def _resident_bytes(*_args: Any, **_kwargs: Any) -> int:
    return int(psutil.Process().memory_info().rss)


_DEVICE_MODULE = _device_module()


@PlatformRegistry.register(platform="cpu")
class PlatformCPU(PlatformBase):  # type: ignore[misc]  # verl ships no types
    """The processor as a verl device."""

    device_name = "cpu"
    vendor_name = "cpu"
    device_module = _DEVICE_MODULE

    def is_available(self) -> bool:
        return True

    def is_platform_available(self, use_smi_check: bool = False) -> bool:
        return False  # never wins the auto-detection; a GPU machine without drivers should fail, not crawl

    def current_device(self) -> str:
        return "cpu"

    def device_count(self) -> int:
        return 1

    def set_device(self, device_index: int) -> None: ...

    def synchronize(self, device_index: int | None = None) -> None: ...

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        torch.manual_seed(seed)

    def set_allocator_settings(self, settings: str) -> None: ...

    def empty_cache(self) -> None: ...

    def get_device_capability(self, device_index: int = 0) -> tuple[None, None]:
        return None, None

    def communication_backend_name(self) -> str:
        return "gloo"

    def visible_devices_envvar(self) -> str:
        return "VERL_CPU_VISIBLE_DEVICES"

    @contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:
        yield

    def profiler_start(self) -> None: ...

    def profiler_stop(self) -> None: ...

    def ray_resource_name(self) -> str:
        # A logical GPU: verl's resource pools and vLLM's replica look for Ray's resource of that name only,
        # and `ray.init(num_gpus=1)` needs no hardware.
        return "GPU"

    def ray_noset_envvars(self) -> list[str]:
        return []

    def is_ipc_supported(self) -> bool:
        return False  # weights then travel through POSIX shared memory

    def cudart(self) -> None:
        return None
