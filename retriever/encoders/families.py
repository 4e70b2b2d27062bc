"""How the families of encoders that people use want their texts and pool their tokens, as their authors say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_INSTRUCTION = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: "
_BGE_ENGLISH = "Represent this sentence for searching relevant passages: "
_BGE_CHINESE = "为这个句子生成表示以用于检索相关文章："


@dataclass(frozen=True, slots=True)
class Family:
    """Conventions of one family.

    Attributes:
        pattern: regular expression found in the last part of the model's name, lower case.
        settings: fields of `EncoderSpec`; those left out have its defaults.
        source: where its authors say so.
    """

    pattern: str
    settings: dict[str, Any]
    source: str


FAMILIES = (
    Family(
        r"e5-mistral",
        {"pooling": "last", "query_prefix": _INSTRUCTION, "append_eos": True},
        "huggingface.co/intfloat/e5-mistral-7b-instruct",
    ),
    Family(
        r"multilingual-e5-\w+-instruct",
        {"pooling": "mean", "query_prefix": _INSTRUCTION},
        "huggingface.co/intfloat/multilingual-e5-large-instruct",
    ),
    Family(
        r"\be5-(small|base|large)",
        # The passage is Search-R1's `"title"\ntext`, so that the indexes published for it can be used as they are.
        {
            "pooling": "mean",
            "query_prefix": "query: ",
            "passage_prefix": "passage: ",
            "passage_form": '"{title}"\n{text}',
        },
        "huggingface.co/intfloat/e5-base-v2; github.com/PeterGriffinJin/Search-R1",
    ),
    Family(r"\bbge-m3\b", {"pooling": "cls"}, "huggingface.co/BAAI/bge-m3"),
    Family(
        r"\bbge-(small|base|large)-en",
        {"pooling": "cls", "query_prefix": _BGE_ENGLISH},
        "huggingface.co/BAAI/bge-base-en-v1.5",
    ),
    Family(
        r"\bbge-(small|base|large)-zh",
        {"pooling": "cls", "query_prefix": _BGE_CHINESE},
        "huggingface.co/BAAI/bge-base-zh-v1.5",
    ),
    Family(r"\bgte-(small|base|large)$", {"pooling": "mean"}, "huggingface.co/thenlper/gte-base"),
    Family(
        r"\bgte-(\w+-en-v1\.5|multilingual-base|modernbert-base)$",
        {"pooling": "cls"},
        "huggingface.co/Alibaba-NLP/gte-base-en-v1.5, gte-multilingual-base, gte-modernbert-base",
    ),
    Family(
        r"contriever",
        {"pooling": "mean", "normalize": False},
        "github.com/facebookresearch/contriever, src/contriever.py and src/beir_utils.py",
    ),
    Family(
        r"\bdpr-(ctx|question)_encoder|^dpr$",
        # Its authors give the pair of title and text without token types: [SEP] in the text is the same.
        {"pooling": "pooler", "normalize": False, "passage_form": "{title} [SEP] {text}"},
        "github.com/facebookresearch/DPR, dpr/models/biencoder.py",
    ),
    Family(
        r"\ball-(minilm|mpnet|distilroberta)|^minilm$",
        {"pooling": "mean"},
        "huggingface.co/sentence-transformers/all-MiniLM-L6-v2",
    ),
)


def family(name: str, architecture: str) -> Family | None:
    """The family that a model's name or its architecture tells.

    Args:
        name: hub name or folder, of which the last part counts; in the hub's cache, that with the model's name.
        architecture: the `model_type` of its configuration.
    """
    path = Path(name)
    if path.parent.name == "snapshots":
        path = path.parent.parent
    told = (path.name.lower(), architecture)
    return next((known for known in FAMILIES if any(re.search(known.pattern, text) for text in told)), None)
