"""The Ray actor in which verl's trainer runs."""

from typing import Any

import ray
from verl.trainer.main_ppo import TaskRunnerV1

# verl 0.9.1 offers its runner as a finished Ray actor only; this is the class inside.
_Runner = TaskRunnerV1.__ray_metadata__.modified_class


@ray.remote(num_cpus=1)
class TaskRunner(_Runner):  # type: ignore[misc, valid-type]  # verl ships no types
    """verl's runner, with the trainer "mrsearch" registered in its process."""

    def run(self, config: Any) -> None:
        import mrsearch.verl_plugin.trainer  # noqa: F401  registers the trainer

        try:
            super().run(config)
        finally:
            self._free()

    def _free(self) -> None:
        """Gives back what verl holds until the whole job ends, so that another training can follow in it."""
        manager = getattr(self.trainer, "resource_pool_manager", None)
        for pool in manager.resource_pool_dict.values() if manager else ():
            for group in pool.pgs or ():
                ray.util.remove_placement_group(group)
