"""A run folder as the viewer sees it."""

from pathlib import Path
from typing import Any

import yaml
from tokenizers import Tokenizer

from mrsearch.credit import NEEDS_PEERS
from mrsearch.errors import UserError
from mrsearch.runs import RunFolder
from mrsearch.viewer.index import EpisodeIndex
from mrsearch.viewer.tokens import load_tokenizer


class ViewedRun:
    """A run folder, its index and what its files say of it.

    Raises:
        UserError: the folder is not a run's, or a file of it cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = RunFolder(folder)
        self.is_training = self.folder.config.is_file()
        if not self.is_training and not (folder / "evaluation.json").is_file():
            raise UserError(
                f"{folder} is not a run folder: it has neither config.yaml (a training) nor evaluation.json (an "
                f"evaluation); give the folder that --out named."
            )
        self.settings = self._read_settings()
        self.tokenizer = self._load_tokenizer()
        """The policy's, from the run folder, else from the folder of the model that the training started from."""
        self.index = EpisodeIndex(self.folder)

    def _read_settings(self) -> dict[str, Any]:
        file = self.folder.config if self.is_training else self.folder.path / "evaluation.json"
        try:
            settings = yaml.safe_load(file.read_text())  # JSON is YAML
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise UserError(f"{file} cannot be read: {' '.join(str(error).split())[:200]}.") from error
        if not isinstance(settings, dict):
            raise UserError(f"{file} holds no settings; it should be a table of names and values.")
        return settings

    @property
    def gamma(self) -> float:
        """Discount between attempts with which the run gives credit."""
        return float((self.settings.get("algorithm") or {}).get("gamma", 1.0))

    @property
    def estimator(self) -> str:
        """The run's estimator, where that compares within a group, else `turn_rloo`."""
        name = str((self.settings.get("algorithm") or {}).get("adv_estimator"))
        return name if name in NEEDS_PEERS else "turn_rloo"

    def _load_tokenizer(self) -> Tokenizer | None:
        model = (self.settings.get("mrsearch") or {}).get("model")
        return load_tokenizer([self.folder.path / "tokenizer", *([Path(model)] if model else [])])
