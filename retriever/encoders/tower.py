"""One network with its tokenizer: texts in, pooled vectors out."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from retriever.encoders.base import Vectors
from retriever.encoders.batches import Batch
from retriever.encoders.checkpoint import Checkpoint
from retriever.encoders.spec import EncoderSpec
from retriever.encoders.threads import run_apart


class Tower:
    """A loaded model that pools as an `EncoderSpec` says."""

    def __init__(self, checkpoint: Checkpoint, spec: EncoderSpec, device: str) -> None:
        self._spec = spec
        self._tokenizer = checkpoint.tokenizer()
        self._padding = next(
            (token for token in (self._tokenizer.pad_token_id, self._tokenizer.eos_token_id) if token is not None), 0
        )
        unused = r"$^" if spec.pooling == "pooler" else r"(^|\.)pooler\."
        self._network = checkpoint.network(_kind(checkpoint.config), device=device, dtype=spec.dtype, unused=unused)
        # Setting the truncation of a tokenizer while another thread uses it raises in the tokenizers library.
        self._tokenizing = threading.Lock()

    @property
    def dimension(self) -> int:
        """Components of a vector."""
        config = self._network.config
        # Only DPR's networks may end in a projection.
        return int(getattr(config, "projection_dim", 0) or config.hidden_size)

    @property
    def on_gpu(self) -> bool:
        """Whether the network runs on a GPU."""
        return bool(self._network.device.type == "cuda")

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, at most `max_length` of them, with the model's special tokens."""
        if not texts:
            return []
        room = self._spec.max_length - self._spec.append_eos
        with self._tokenizing:
            rows = self._tokenizer(list(texts), truncation=True, max_length=room)["input_ids"]
        return [self._ended(row) for row in rows]

    def vectors(self, rows: Sequence[list[int]], batches: Iterable[Batch], fill: int = 0) -> Vectors:
        """One vector per row of token ids, computed in these batches.

        Args:
            rows: token ids.
            batches: together they hold every row once.
            fill: the fewest rows of a batch; shorter ones repeat their first.
        """
        vectors = np.empty((len(rows), self.dimension), dtype=np.float32)

        def compute(numbers: list[int], length: int) -> None:
            filled = numbers + numbers[:1] * (fill - len(numbers))
            vectors[numbers] = self._pooled([rows[number] for number in filled], length)[: len(numbers)]

        run_apart([partial(compute, numbers, length) for numbers, length in batches], self.on_gpu)
        return vectors

    def _pooled(self, rows: list[list[int]], length: int) -> npt.NDArray[np.float32]:
        import torch

        tokens = torch.full((len(rows), length), self._padding, dtype=torch.long)
        mask = torch.zeros((len(rows), length), dtype=torch.long)
        for number, row in enumerate(rows):
            tokens[number, : len(row)] = torch.tensor(row)
            mask[number, : len(row)] = 1
        tokens, mask = tokens.to(self._network.device), mask.to(self._network.device)
        with torch.inference_mode():
            pooled = _pool(self._spec.pooling, self._network(input_ids=tokens, attention_mask=mask), mask)
            if self._spec.normalize:
                pooled = torch.nn.functional.normalize(pooled, dim=1)
        result: npt.NDArray[np.float32] = pooled.cpu().numpy()
        return result

    def _ended(self, row: list[int]) -> list[int]:
        end = self._tokenizer.eos_token_id
        if self._spec.append_eos and row[-1:] != [end]:
            row = [*row, end]
        return row or [self._padding]


def _kind(config: Any) -> Any:
    """`AutoModel` takes every DPR model for one of questions."""
    import transformers

    name = (config.architectures or [""])[0]
    return getattr(transformers, name) if name.startswith("DPR") else transformers.AutoModel


def _pool(method: str, output: Any, mask: Any) -> Any:
    """Shape (rows, dimension), 32 bits."""
    if method == "pooler":
        return output.pooler_output.float()
    hidden = output.last_hidden_state.float()
    if method == "cls":
        return hidden[:, 0]
    counts = mask.sum(1)
    if method == "last":
        return hidden[range(len(hidden)), counts - 1]
    return (hidden * mask[..., None]).sum(1) / counts[:, None]
