"""Cross-encoders: models that read a query and a passage together and say how well they match."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from retriever.encoders.batches import by_length
from retriever.encoders.checkpoint import Checkpoint
from retriever.encoders.spec import check_dtype, read_fields
from retriever.encoders.threads import run_apart
from retriever.errors import BadModel, BadRequest
from retriever.types import Passage

_MAX_LENGTH = 512
_ROWS = 32


@dataclass(frozen=True, slots=True)
class CrossEncoderSpec:
    """Everything that decides a score; kept in the manifest.

    Attributes:
        model: hub name or absolute folder.
        revision: its commit, or the fingerprint of its folder.
        max_length: tokens of query and passage together; the longer of the two is cut.
        dtype: `auto`, which is half precision on a GPU and 32 bits on a CPU, or the name of a torch dtype.
    """

    model: str
    revision: str
    max_length: int
    dtype: str = "auto"

    @classmethod
    def resolve(
        cls, model: str, *, revision: str | None = None, max_length: int | None = None, dtype: str = "auto"
    ) -> CrossEncoderSpec:
        """Completes a user's options; only the model's configuration is read.

        Raises:
            BadModel: the model is missing, or gives no single score.
            BadRequest: an option is not accepted.
        """
        check_dtype(dtype)
        checkpoint = Checkpoint.find(model, revision)
        if checkpoint.config.num_labels != 1:
            raise BadModel(
                f"{model} gives {checkpoint.config.num_labels} scores; a reranker must be a cross-encoder with one, "
                "such as cross-encoder/ms-marco-MiniLM-L6-v2 or BAAI/bge-reranker-base."
            )
        limit = checkpoint.max_length
        length = min(limit, _MAX_LENGTH) if max_length is None else max_length
        if not 8 <= length <= limit:
            raise BadRequest(f"max_length must be from 8 to {limit} tokens for {model}, found {length}.")
        return cls(checkpoint.name, checkpoint.revision, length, dtype)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CrossEncoderSpec:
        """Reads back what `to_dict` gave; raises `BadModel` where a field is missing or of another type."""
        return cls(**read_fields(cls, values, "reranker"))

    def to_dict(self) -> dict[str, Any]:
        """The fields, as JSON holds them."""
        return asdict(self)


class CrossEncoder:
    """A loaded cross-encoder; to be called from one thread at a time.

    Args:
        spec: the model and how it reads.
        device: `auto` (a GPU where there is one), or a torch device.

    Raises:
        BadModel: the model is missing, is not the one of the spec, or is no cross-encoder.
    """

    def __init__(self, spec: CrossEncoderSpec, device: str = "auto") -> None:
        from transformers import AutoModelForSequenceClassification

        checkpoint = Checkpoint.find(spec.model, spec.revision or None)
        self._spec = spec
        self._tokenizer = checkpoint.tokenizer()
        self._network = checkpoint.network(
            AutoModelForSequenceClassification, device=device, dtype=spec.dtype, unused=r"$^"
        )

    def scores(self, queries: Sequence[str], candidates: Sequence[Sequence[Passage]]) -> list[list[float]]:
        """The model's raw score, a logit, of each candidate of each query.

        Passages are read as `title text`. Batches hold the candidates of one query only: so the scores of a query do
        not depend on the others.
        """
        scores = [[0.0] * len(passages) for passages in candidates]
        jobs = []
        for query, passages, row in zip(queries, candidates, scores, strict=True):
            pairs = self._tokenize(query, passages)
            lengths = [len(pair["input_ids"]) for pair in pairs]
            for numbers, _ in by_length(lengths, _ROWS):
                jobs.append(partial(self._score, pairs, numbers, row))
        run_apart(jobs, on_gpu=self._network.device.type == "cuda")
        return scores

    def _tokenize(self, query: str, passages: Sequence[Passage]) -> list[dict[str, list[int]]]:
        if not passages:
            return []
        texts = [f"{passage.title} {passage.text}".strip() for passage in passages]
        length = self._spec.max_length
        columns = self._tokenizer([query] * len(texts), texts, truncation="longest_first", max_length=length)
        return [{name: column[number] for name, column in columns.items()} for number in range(len(texts))]

    def _score(self, pairs: Sequence[dict[str, list[int]]], numbers: Sequence[int], scores: list[float]) -> None:
        import torch

        batch = self._tokenizer.pad([pairs[number] for number in numbers], return_tensors="pt")
        with torch.inference_mode():
            logits = self._network(**batch.to(self._network.device)).logits[:, 0]
        for number, score in zip(numbers, logits.float().tolist(), strict=True):
            scores[number] = score
