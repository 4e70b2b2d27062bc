"""A small batching sampler in PyTorch: the policy protocol without a serving engine."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import Qwen2ForCausalLM, Qwen2Tokenizer

from mrsearch.episode import Sampled

# Time for concurrent episodes to hand in their requests, and most requests of one batch.
_GATHER_SECONDS = 0.01
_BATCH = 256


@dataclass(slots=True)
class _Request:
    prompt: Sequence[int]
    max_tokens: int
    stop_ids: frozenset[int]
    temperature: float
    rng: random.Random
    done: asyncio.Future[Sampled]


class Sampler:
    """Answers the requests of concurrent episodes in batches."""

    def __init__(self, model: Qwen2ForCausalLM, tokenizer: Qwen2Tokenizer) -> None:
        self._model, self._tokenizer = model, tokenizer
        self._waiting: list[_Request] = []
        self._flushing: asyncio.Task[None] | None = None

    def policy(self, temperature: float, seed: str) -> "SampledPolicy":
        """A policy for one meta-episode; the same seed samples the same, whatever shares its batches."""
        return SampledPolicy(self, temperature, random.Random(seed))

    async def sample(
        self, prompt: Sequence[int], max_tokens: int, stop: Sequence[str], temperature: float, rng: random.Random
    ) -> Sampled:
        stop_ids = frozenset(self._tokenizer.convert_tokens_to_ids([*stop, self._tokenizer.eos_token]))
        done: asyncio.Future[Sampled] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Request(prompt, max_tokens, stop_ids, temperature, rng, done))
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())
        return await done

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(_GATHER_SECONDS)
            if not self._waiting:
                break
            batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
            for request, sampled in zip(batch, _generate(self._model, batch), strict=True):
                request.done.set_result(sampled)
        self._flushing = None


class SampledPolicy:
    """The policy of one meta-episode."""

    def __init__(self, sampler: Sampler, temperature: float, rng: random.Random) -> None:
        self._sampler, self._temperature, self._rng = sampler, temperature, rng

    async def sample(self, prompt_ids: Sequence[int], *, max_tokens: int, stop: Sequence[str]) -> Sampled:
        return await self._sampler.sample(prompt_ids, max_tokens, stop, self._temperature, self._rng)


@torch.inference_mode()
def _generate(model: Qwen2ForCausalLM, batch: Sequence[_Request]) -> list[Sampled]:
    """Continues every prompt until it stops; prompts are padded on the left."""
    width = max(len(request.prompt) for request in batch)
    ids_BT = torch.tensor([[*[0] * (width - len(r.prompt)), *r.prompt] for r in batch])
    mask_BT = torch.tensor([[0] * (width - len(r.prompt)) + [1] * len(r.prompt) for r in batch])
    positions_BT = (mask_BT.cumsum(1) - 1).clamp(min=0)
    tokens: list[list[int]] = [[] for _ in batch]
    logprobs: list[list[float]] = [[] for _ in batch]
    cache, running = None, set(range(len(batch)))
    while True:
        output = model(
            input_ids=ids_BT,
            attention_mask=mask_BT,
            position_ids=positions_BT,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        cache = output.past_key_values
        next_B = _choose(output.logits[:, -1].double(), batch, running, tokens, logprobs)
        if not running:
            return [Sampled(ids, values) for ids, values in zip(tokens, logprobs, strict=True)]
        ids_BT = next_B[:, None]
        positions_BT = positions_BT[:, -1:] + 1
        mask_BT = torch.cat([mask_BT, torch.ones_like(ids_BT)], dim=1)


def _choose(
    logits_BV: torch.Tensor,
    batch: Sequence[_Request],
    running: set[int],
    tokens: list[list[int]],
    logprobs: list[list[float]],
) -> torch.Tensor:
    """Draws a token for every running row, records it, and takes rows that are done out of `running`."""
    next_B = torch.zeros(len(batch), dtype=torch.long)
    for row in sorted(running):
        request = batch[row]
        scores_V = (logits_BV[row] / (request.temperature or 1.0)).log_softmax(-1)
        if request.temperature:
            # Inverse transform sampling: one random number a token, whatever the batch.
            sums_V = scores_V.exp().cumsum(-1)
            token = int(torch.searchsorted(sums_V, request.rng.random() * sums_V[-1].item()))
        else:
            token = int(scores_V.argmax())
        tokens[row].append(token)
        logprobs[row].append(float(scores_V[token]))
        next_B[row] = token
        if token in request.stop_ids or len(tokens[row]) == request.max_tokens:
            running.remove(row)
    return next_B
