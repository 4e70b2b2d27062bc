"""verl's training worker and engine on a machine without a GPU."""

import dataclasses
import os
from typing import Any

import torch.distributed as dist
from verl.workers.engine.base import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead
from verl.workers.engine_workers import ActorRolloutRefWorker


@EngineRegistry.register(model_type="language_model", backend=["fsdp", "fsdp2"], device="cpu")
class CPUEngine(FSDPEngineWithLMHead):  # type: ignore[misc]  # verl ships no types
    """verl 0.9.1 registers its FSDP engine for cuda and npu only."""

    engine_config: Any

    def _build_fsdp_module(self, module: Any) -> Any:
        # A forward-only (reference) model would be offloaded with pinned memory, which needs an accelerator.
        config = self.engine_config
        self.engine_config = dataclasses.replace(config, forward_only=False)
        try:
            return super()._build_fsdp_module(module)
        finally:
            self.engine_config = config


class CPUWorker(ActorRolloutRefWorker):  # type: ignore[misc]  # verl ships no types
    """Makes the process group first: verl 0.9.1 would ask torch for "cpu:gloo,cpu:gloo", which it refuses."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not dist.is_initialized():
            rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
            dist.init_process_group("cpu:gloo", rank=rank, world_size=world_size)
        super().__init__(*args, **kwargs)
