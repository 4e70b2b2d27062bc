"""A verl checkpoint callback that writes down the weights vLLM holds when a checkpoint is saved."""

from pathlib import Path

import ray
from verl.trainer.ppo.checkpoint_callback import CheckpointCallback


class EngineDump(CheckpointCallback):
    def on_save(self, trainer, global_step: int, checkpoint_dir: str, async_save: bool = False, **kwargs) -> None:
        (replica,) = trainer.llm_server_manager.get_replicas()
        folder = Path(checkpoint_dir) / "engine"
        folder.mkdir()
        ray.get(replica.server_handle.collective_rpc.remote("save_sharded_state", kwargs={"path": str(folder)}))
