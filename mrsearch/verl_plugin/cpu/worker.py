"""verl's training workers and engines on a machine without a GPU."""

import dataclasses
import os
from typing import Any

import torch
import torch.distributed as dist
from transformers import AutoModelForTokenClassification
from verl.trainer.ppo.utils import Role
from verl.workers.engine.base import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead, FSDPEngineWithValueHead
from verl.workers.engine_workers import ActorRolloutRefWorker, TrainingWorker


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


@EngineRegistry.register(model_type="value_model", backend=["fsdp", "fsdp2"], device="cpu")
class CPUValueEngine(FSDPEngineWithValueHead):  # type: ignore[misc]  # verl ships no types
    """The critic's; verl 0.9.1 loads it with FlashAttention, whatever the configuration says."""

    model_config: Any

    def _build_module(self) -> Any:
        config = self.model_config.hf_config
        config.num_labels, config.classifier_dropout = 1, 0.0
        return AutoModelForTokenClassification.from_pretrained(
            self.model_config.local_path, config=config, dtype=torch.float32
        )


def _make_process_group() -> None:
    """Before verl 0.9.1 does, which would ask torch for "cpu:gloo,cpu:gloo", and that it refuses."""
    if not dist.is_initialized():
        rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        dist.init_process_group("cpu:gloo", rank=rank, world_size=world_size)


class CPUWorker(ActorRolloutRefWorker):  # type: ignore[misc]  # verl ships no types
    """Trains the policy, and holds the rollout and the reference."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _make_process_group()
        super().__init__(*args, **kwargs)


class CPUCriticWorker(TrainingWorker):  # type: ignore[misc]  # verl ships no types
    """Trains the critic."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _make_process_group()
        super().__init__(*args, **kwargs)


def worker_of(role: Role) -> type:
    """The class of the worker that fills a role of verl's."""
    return CPUCriticWorker if role is Role.Critic else CPUWorker
