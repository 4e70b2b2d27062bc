"""What a model folder must hold."""

import json
from pathlib import Path

from mrsearch.errors import UserError


def check_model(folder: Path) -> None:
    """Checks that a folder is a Hugging Face causal language model.

    Raises:
        UserError: it is not there, or something is missing from it.
    """
    if not folder.is_dir():
        raise UserError(f"There is no model folder {folder}; give a Hugging Face causal-LM folder.")
    config = folder / "config.json"
    if not config.is_file():
        raise UserError(f"The model folder {folder} has no config.json; give a Hugging Face causal-LM folder.")
    try:
        architectures = json.loads(config.read_text()).get("architectures") or []
    except ValueError as error:
        raise UserError(f"{config} is not JSON: {error}.") from error
    if not any(name.endswith("ForCausalLM") for name in architectures):
        raise UserError(f"{config} names the architectures {architectures}; a …ForCausalLM is needed.")
    if not [*folder.glob("*.safetensors"), *folder.glob("*.bin")]:
        raise UserError(f"The model folder {folder} holds no weights (*.safetensors or *.bin).")
    if not [*folder.glob("tokenizer*.json"), *folder.glob("vocab.*")]:
        raise UserError(f"The model folder {folder} holds no tokeniser (tokenizer.json).")


def end_ids(folder: Path) -> tuple[int, ...]:
    """Token ids at which engines end this model's output, from its generation configuration; often more than one."""
    file = folder / "generation_config.json"
    ids = json.loads(file.read_text()).get("eos_token_id") if file.is_file() else None
    return tuple(ids) if isinstance(ids, list) else () if ids is None else (ids,)
