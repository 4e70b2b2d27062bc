"""A LoRA checkpoint becomes a plain model: the same as PEFT's own merging."""

import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2ForCausalLM

from mrsearch.models import check_model
from mrsearch.verl_plugin.adapters import MergeAdapters, merge_adapters

RANK, ALPHA = 4, 12


@pytest.fixture
def adapted() -> Qwen2ForCausalLM:
    """A small model with adapters that are not zero."""
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    )
    lora = LoraConfig(task_type="CAUSAL_LM", r=RANK, lora_alpha=ALPHA, target_modules="all-linear")
    model = get_peft_model(Qwen2ForCausalLM(config), lora)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return model


def save_as_verl_does(model, checkpoint: Path, shard: str) -> Path:
    folder = checkpoint / "actor" / "huggingface"
    plain = AutoModelForCausalLM.from_config(model.config)
    state = {name: tensor for name, tensor in model.state_dict().items() if not name.endswith("lm_head.weight")}
    plain.save_pretrained(folder, state_dict=state, max_shard_size=shard)
    (folder / "tokenizer.json").write_text("{}")
    about = {"r": RANK, "lora_alpha": ALPHA, "task_type": "CAUSAL_LM"}
    (checkpoint / "actor" / "lora_train_meta.json").write_text(json.dumps(about))
    return folder


@pytest.mark.parametrize(("shard", "files"), [("1GB", 1), ("20KB", 3)])
def test_merged_checkpoint_is_the_model_that_peft_merges(
    adapted: Qwen2ForCausalLM, tmp_path: Path, shard: str, files: int
) -> None:
    folder = save_as_verl_does(adapted, tmp_path, shard)
    assert len(list(folder.glob("*.safetensors"))) >= files
    MergeAdapters().on_save(trainer=None, global_step=1, checkpoint_dir=str(tmp_path))
    check_model(folder)
    loaded, report = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True, dtype=torch.float32)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    expected = adapted.merge_and_unload().state_dict()
    for name, weight in loaded.state_dict().items():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=1e-6, msg=name)


def test_merging_again_changes_nothing(adapted: Qwen2ForCausalLM, tmp_path: Path) -> None:
    folder = save_as_verl_does(adapted, tmp_path, "1GB")
    merge_adapters(folder, scale=ALPHA / RANK)
    (file,) = folder.glob("*.safetensors")
    before = file.read_bytes()
    merge_adapters(folder, scale=ALPHA / RANK)
    assert file.read_bytes() == before
