"""The tiny model and its tokeniser, before any training."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, trainers
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen2Tokenizer

from mrsearch.data.world.names import EMPLOYERS, FIRST_NAMES, LAST_NAMES, OCCUPATIONS, RELATIONS, TOWNS
from mrsearch.episode.actions import RESERVED_TAGS

PAD, MESSAGE_START, MESSAGE_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
MAX_POSITIONS = 2048

CHAT_TEMPLATE = (
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)

# More than the merges that the world's words need; training stops when there are none left to make.
_MOST_MERGES = 4096


def build_tokenizer(text: Iterable[str]) -> Qwen2Tokenizer:
    """A byte-level BPE tokeniser that makes single tokens of the world's words and of the words of `text`.

    Any text encodes and, as with all of Qwen2's tokenisers, decodes to its NFC form. The protocol's tags are
    ordinary added tokens: one id each, and kept in decoded text.
    """
    words = (*FIRST_NAMES, *LAST_NAMES, *TOWNS, *EMPLOYERS, *OCCUPATIONS, *RELATIONS)
    # Twice each, for the trainer makes no merge of what occurs once.
    vocabulary, merges = _train_bpe([*(f" {word}" for word in words), *text] * 2)
    tokenizer = Qwen2Tokenizer(
        vocab=vocabulary,
        merges=merges,
        unk_token=None,
        pad_token=PAD,
        eos_token=MESSAGE_END,
        additional_special_tokens=[MESSAGE_START],
        model_max_length=MAX_POSITIONS,
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )
    tokenizer.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in RESERVED_TAGS])
    return tokenizer


def _train_bpe(text: Sequence[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges, learned with the normaliser and the word pattern of Qwen2's tokeniser."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = Qwen2Tokenizer().backend_tokenizer.normalizer
    tokenizer.pre_tokenizer = Qwen2Tokenizer().backend_tokenizer.pre_tokenizer
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(
        text, trainers.BpeTrainer(vocab_size=_MOST_MERGES, initial_alphabet=alphabet, show_progress=False)
    )
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [tuple(merge) for merge in model["merges"]]


def build_model(tokenizer: Qwen2Tokenizer, seed: int) -> Qwen2ForCausalLM:
    """Qwen2's architecture at 0.6 million parameters, freshly initialised, float32."""
    torch.manual_seed(seed)
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=352,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=MAX_POSITIONS,
            tie_word_embeddings=True,
            # The usual 0.02 learns far more slowly at this width.
            initializer_range=0.05,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            dtype=torch.float32,
        )
    )
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, tokenizer.pad_token_id]
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model.float()


def save(model: Qwen2ForCausalLM, tokenizer: Qwen2Tokenizer, folder: Path) -> None:
    """Writes a Hugging Face folder: safetensors, configurations, tokeniser and chat template."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
