"""LoRA checkpoints as models that any engine loads."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from verl.trainer.ppo.checkpoint_callback import CheckpointCallback

from mrsearch.files import whole_file
from mrsearch.runs import write_atomically

_PREFIX, _BASE, _A, _B = "base_model.model.", ".base_layer.", ".lora_A.default.weight", ".lora_B.default.weight"


class MergeAdapters(CheckpointCallback):  # type: ignore[misc]  # verl ships no types
    """Merges the adapters of every checkpoint's Hugging Face folder into its weights.

    verl 0.9.1 writes that folder with the names PEFT gives to adapted layers, which nothing loads. The shards beside
    it, from which training goes on, are left as they are.
    """

    def on_save(self, trainer: Any, global_step: int, checkpoint_dir: str, **kwargs: Any) -> None:
        actor = Path(checkpoint_dir) / "actor"
        about = json.loads((actor / "lora_train_meta.json").read_text())
        merge_adapters(actor / "huggingface", scale=about["lora_alpha"] / about["r"])


def merge_adapters(folder: Path, scale: float) -> None:
    """Puts W + scale · B A in the place of every adapted weight W, under the model's own names (arXiv 2106.09685, 4.1).

    A folder without adapters stays as it is.

    Args:
        folder: a Hugging Face folder whose weights have PEFT's names.
        scale: LoRA's alpha over its rank.
    """
    files = sorted(folder.glob("*.safetensors"))
    places = {name: file for file in files for name in _names(file)}
    if not any(name.endswith(_A) for name in places):
        return
    merged = {file: _merged(file, places, scale) for file in files}
    for file, weights in merged.items():
        with whole_file(file) as partial:
            save_file(weights, partial, metadata={"format": "pt"})
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        write_atomically(index, _new_index(merged))


def _names(file: Path) -> list[str]:
    with safe_open(file, framework="pt") as weights:
        return list(weights.keys())


def _merged(file: Path, places: Mapping[str, Path], scale: float) -> dict[str, torch.Tensor]:
    """The weights of one file by the model's own names."""
    merged = {}
    for name in _names(file):
        if name.endswith((_A, _B)):
            continue
        weight = _read(places[name], name)
        a, b = (name.replace(f"{_BASE}weight", part) for part in (_A, _B))
        if a != name and a in places:
            update = _read(places[b], b).float() @ _read(places[a], a).float()
            weight = (weight.float() + scale * update).to(weight.dtype)
        merged[name.removeprefix(_PREFIX).replace(_BASE, ".")] = weight.contiguous()
    return merged


def _read(file: Path, name: str) -> torch.Tensor:
    with safe_open(file, framework="pt") as weights:
        tensor: torch.Tensor = weights.get_tensor(name)
        return tensor


def _new_index(merged: Mapping[Path, Mapping[str, torch.Tensor]]) -> str:
    size = sum(weight.nbytes for weights in merged.values() for weight in weights.values())
    places = {name: file.name for file, weights in merged.items() for name in sorted(weights)}
    return json.dumps({"metadata": {"total_size": size}, "weight_map": places}, indent=2) + "\n"
