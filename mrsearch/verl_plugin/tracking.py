"""Where a training run's figures go beside its own files: TensorBoard, Weights & Biases, MLflow."""

import importlib.util
import os
from collections.abc import Iterable

from mrsearch.errors import UserError
from mrsearch.runs import RunFolder

_INSTALL = {
    "tensorboard": "pip install tensorboard",
    "wandb": "pip install wandb",
    "mlflow": "pip install mlflow-skinny",
}


def check_trackers(names: Iterable[str]) -> None:
    """Checks that what the figures go to is installed: verl 0.9.1 would train without MLflow and only say so.

    Raises:
        UserError: a package is missing, or verl knows no such tracker.
    """
    from verl.utils.tracking import Tracking

    for name in names:
        if name not in Tracking.supported_backend:
            raise UserError(f"trainer.logger names {name!r}; choose of {', '.join(Tracking.supported_backend)}.")
        if name in _INSTALL and importlib.util.find_spec(name) is None:
            raise UserError(f"trainer.logger names {name!r}, which is not installed: `{_INSTALL[name]}`.")


def tracking_environment(run: RunFolder) -> dict[str, str]:
    """Environment variables that keep the trackers' files in the run folder; what the user has set wins."""
    own = {"TENSORBOARD_DIR": str(run.path / "tensorboard"), "WANDB_DIR": str(run.path)}
    if "MLFLOW_TRACKING_URI" not in os.environ:
        # A folder is what the small client can write; MLflow asks for this word to go on doing so.
        own |= {"MLFLOW_TRACKING_URI": f"file://{run.path / 'mlruns'}", "MLFLOW_ALLOW_FILE_STORE": "true"}
    return {name: os.environ.get(name, value) for name, value in own.items()}
