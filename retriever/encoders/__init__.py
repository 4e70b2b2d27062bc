"""Encoders: Hugging Face models that turn queries and passages into vectors.

`new_encoder` makes one from a model and a user's options; `load_encoder` makes it again from the spec that an index
keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retriever.encoders.base import Encoder, Vectors

__all__ = ["Encoder", "Vectors", "load_encoder", "new_encoder"]


def new_encoder(model: str, *, device: str = "auto", **options: Any) -> Encoder:
    """Makes an encoder from a hub name, a folder, or `minilm`, which needs no download.

    Pooling, prefixes, normalisation and length are those of the model's family or of the files beside it.

    Args:
        model: for DPR, the model of passages; that of queries is option `query_model`, or found on the hub.
        device: `auto` (a GPU where there is one), or a torch device such as `cpu`.
        options: fields of `retriever.encoders.spec.EncoderSpec` that shall be otherwise; None counts as not given.

    Raises:
        BadModel: the model is missing or cannot be used, or nothing tells its pooling.
        BadRequest: an option is not accepted.
    """
    from retriever.encoders.encoder import TransformerEncoder
    from retriever.encoders.resolve import resolve_spec

    return TransformerEncoder(resolve_spec(model, options), device)


def load_encoder(spec: Mapping[str, Any], *, device: str = "auto") -> Encoder:
    """Makes the encoder that a manifest describes.

    Raises:
        BadModel: the description is not complete, or its model is missing or no longer the same.
    """
    from retriever.encoders.encoder import TransformerEncoder
    from retriever.encoders.spec import EncoderSpec

    return TransformerEncoder(EncoderSpec.from_dict(spec), device)
