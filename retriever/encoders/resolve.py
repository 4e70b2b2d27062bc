"""From a model and a user's options to a complete `EncoderSpec`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from retriever.encoders.checkpoint import Checkpoint
from retriever.encoders.families import family
from retriever.encoders.spec import POOLINGS, EncoderSpec
from retriever.errors import BadModel, BadRequest

_MAX_LENGTH = 512
_POOLING_NAMES = {"mean": "mean", "cls": "cls", "lasttoken": "last"}
_OLD_POOLING_KEYS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_lasttoken": "lasttoken",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
}


def resolve_spec(model: str, options: Mapping[str, Any]) -> EncoderSpec:
    """Completes a user's options.

    Of the sources the later wins: the defaults of `EncoderSpec`, the family that the name tells, the files that
    sentence-transformers keeps beside a model (`modules.json`, the pooling's `config.json`, prompts), `options`.

    Args:
        model: see `Checkpoint.find`; for DPR, of passages or of queries where both are on the hub.
        options: fields of `EncoderSpec`; those that are None count as not given.

    Raises:
        BadModel: a model is missing or cannot be used, or its pooling is told by none of these.
        BadRequest: an option is not accepted.
    """
    given = {name: value for name, value in options.items() if value is not None}
    passage_model, query_model = _dpr_pair(model, given.pop("query_model", ""))
    checkpoint = Checkpoint.find(passage_model, given.pop("revision", None))
    _check_pair(checkpoint, query_model)
    known = family(checkpoint.name, checkpoint.config.model_type)
    settings = (known.settings if known else {}) | _sentence_transformers(checkpoint) | given
    if "pooling" not in settings:
        raise BadModel(
            f"{model}: its pooling is not known (it has no sentence-transformers files, and its name is of no known "
            f"family); add --pooling {', '.join(POOLINGS[:-1])} or {POOLINGS[-1]}."
        )
    if query_model:
        queries = Checkpoint.find(query_model, given.get("query_revision"))
        settings |= {"query_model": queries.name, "query_revision": queries.revision}
    limit = checkpoint.max_length
    settings.setdefault("max_length", min(limit, _MAX_LENGTH))
    if settings["max_length"] > limit:
        raise BadRequest(f"{model} reads at most {limit} tokens; max_length {settings['max_length']} is too long.")
    return EncoderSpec(model=checkpoint.name, revision=checkpoint.revision, **settings)


def _dpr_pair(model: str, query_model: str) -> tuple[str, str]:
    """The hub's DPR models come in pairs, of which either names both."""
    if query_model or not re.search(r"dpr-(ctx|question)_encoder", model):
        return model, query_model
    passages = model.replace("question_encoder", "ctx_encoder")
    return passages, passages.replace("ctx_encoder", "question_encoder")


def _check_pair(checkpoint: Checkpoint, query_model: str) -> None:
    network = (checkpoint.config.architectures or [""])[0]
    if network.startswith("DPR") and not (network == "DPRContextEncoder" and query_model):
        raise BadModel(
            f"{checkpoint.name} is one of DPR's two models (a {network}); give its DPRContextEncoder as the encoder "
            "and its DPRQuestionEncoder as --query-model."
        )


def _sentence_transformers(checkpoint: Checkpoint) -> dict[str, Any]:
    """What the files of sentence-transformers tell.

    Raises:
        BadModel: the model has parts that are not among transformer, pooling and normalisation.
    """
    modules = checkpoint.json_file("modules.json")
    if modules is None:
        return {}
    kinds = {module["type"].rpartition(".")[2]: module["path"] for module in modules}
    unsupported = set(kinds) - {"Transformer", "Pooling", "Normalize"}
    if unsupported:
        raise BadModel(f'{checkpoint.name} has a part of type "{min(unsupported)}", which is not supported.')
    settings: dict[str, Any] = {}
    if "Pooling" in kinds:
        settings["pooling"] = _pooling(checkpoint, f"{kinds['Pooling']}/config.json")
    general = checkpoint.json_file("config_sentence_transformers.json") or {}
    if "Normalize" in kinds:
        settings["normalize"] = True
    elif general.get("similarity_fn_name") == "dot":
        settings["normalize"] = False
    prompts = general.get("prompts") or {}
    for field, names in (("query_prefix", ("query",)), ("passage_prefix", ("document", "passage", "corpus"))):
        prompt = next((prompts[name] for name in names if prompts.get(name)), None)
        if prompt:
            settings[field] = prompt
    length = (checkpoint.json_file("sentence_bert_config.json") or {}).get("max_seq_length")
    if length:
        settings["max_length"] = int(length)
    return settings


def _pooling(checkpoint: Checkpoint, path: str) -> str:
    """Reads the pooling as it is written now, `pooling_mode`, and as it was until sentence-transformers 5."""
    config = checkpoint.json_file(path) or {}
    old = "+".join(name for key, name in _OLD_POOLING_KEYS.items() if config.get(key))
    mode = str(config.get("pooling_mode", old or "mean"))
    if mode not in _POOLING_NAMES or config.get("include_prompt") is False:
        raise BadModel(f"{checkpoint.name}: the pooling in {path} is not supported; only mean, cls and lasttoken are.")
    return _POOLING_NAMES[mode]
