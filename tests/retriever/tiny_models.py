"""Small models with random weights, saved as the hub's are, and the MiniLM that a package carries."""

import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing

from retriever.encoders.checkpoint import packaged_minilm

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
}


def save_bert(folder: Path, kind: type = transformers.BertModel, **changes: Any) -> Path:
    """A BERT, or a model around one, with MiniLM's tokenizer."""
    config_class = transformers.DPRConfig if kind.__name__.startswith("DPR") else transformers.BertConfig
    return _save(folder, kind(config_class(**SIZES, **changes)), bert_tokenizer())


@cache
def bert_tokenizer() -> Any:
    """MiniLM's, for at most 64 tokens."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(packaged_minilm())
    tokenizer.model_max_length = SIZES["max_position_embeddings"]
    return tokenizer


def save_xlm_roberta(folder: Path, words: Sequence[str]) -> Path:
    """An XLM-RoBERTa; every word is one token, between <s> and </s>."""
    config = transformers.XLMRobertaConfig(**SIZES, vocab_size=100, pad_token_id=1)
    return _save(folder, transformers.XLMRobertaModel(config), _word_tokenizer(words, ends=True))


def save_mistral(folder: Path, words: Sequence[str]) -> Path:
    """A Mistral, a causal decoder; its tokenizer does not end a text."""
    config = transformers.MistralConfig(**SIZES, vocab_size=100, num_key_value_heads=2, head_dim=8)
    return _save(folder, transformers.MistralModel(config), _word_tokenizer(words, ends=False))


def _word_tokenizer(words: Sequence[str], ends: bool) -> Any:
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    vocabulary = {word: number for number, word in enumerate([*special, *sorted(set(words))])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    template = "<s> $A </s>" if ends else "<s> $A"
    tokenizer.post_processor = TemplateProcessing(single=template, special_tokens=[("<s>", 0), ("</s>", 2)])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=SIZES["max_position_embeddings"],
    )


def _save(folder: Path, model: Any, tokenizer: Any) -> Path:
    # Each model has weights of its own.
    torch.manual_seed(zlib.crc32(folder.name.encode()))
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
