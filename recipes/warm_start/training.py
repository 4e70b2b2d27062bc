"""Supervised training on demonstrations: next-token loss on every token, most of it on the policy's own."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch.nn.functional import cross_entropy
from transformers import Qwen2ForCausalLM

# Rows sorted by length at a time: enough for little padding, few enough for mixed steps.
_POOL = 256


@dataclass(frozen=True, slots=True)
class Row:
    """One demonstration: its token ids, and which of them the policy wrote."""

    ids: Sequence[int]
    written: Sequence[bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """Settings of the supervised training.

    Attributes:
        steps: optimiser steps, those on `short_steps` rows included.
        short_steps: first steps, on the short rows.
        tokens: tokens of a step, padding included. Four times as many did not learn to copy names.
        environment_weight: weight in the loss of a token that the policy did not write, where one that it wrote
            has 1. Most of the environment's tokens are names that nobody can predict; at full weight their
            noise drowns what there is to learn.
        warmup_steps: steps over which the learning rate rises to its peak; it falls to zero, linearly, over
            the second half of the steps.
        clip: largest norm of a gradient.
        sharpness: factor on the trained model's logits, which makes temperature 1 what 1 / sharpness was: fewer
            slips of the pen in copied names, the same most likely tokens.
    """

    steps: int = 4000
    short_steps: int = 300
    tokens: int = 2500
    learning_rate: float = 2.5e-3
    betas: tuple[float, float] = (0.9, 0.98)
    environment_weight: float = 0.1
    warmup_steps: int = 30
    clip: float = 1.0
    sharpness: float = 1.2


def train(
    model: Qwen2ForCausalLM,
    short: Sequence[Row],
    rows: Sequence[Row],
    config: TrainingConfig,
    seed: int,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    """Trains `model` in place; the same arguments give the same model.

    Args:
        on_step: called after each step with its number, from 1, and its loss in nats per token.
    """
    rng = random.Random(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, betas=config.betas)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate_factor(step, config))
    short_steps = min(config.short_steps, config.steps)
    first = islice(batches(short, config.tokens, rng), short_steps)
    then = islice(batches(rows, config.tokens, rng), config.steps - short_steps)
    model.train()
    for step, batch in enumerate((batch for part in (first, then) for batch in part), start=1):
        loss = next_token_loss(model, batch, config.environment_weight)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        optimizer.step()
        schedule.step()
        on_step(step, loss.item())
    with torch.no_grad():
        # The last normalisation scales the logits and nothing else.
        model.model.norm.weight *= config.sharpness
    model.eval()


def learning_rate_factor(step: int, config: TrainingConfig) -> float:
    """The share of the peak learning rate at a step, counted from 0."""
    rise = (step + 1) / max(config.warmup_steps, 1)
    fall = 2 * (config.steps - step) / config.steps
    return min(rise, fall, 1.0)


def next_token_loss(model: Qwen2ForCausalLM, batch: Sequence[Row], environment_weight: float) -> torch.Tensor:
    """Weighted mean of the cross-entropy over all next tokens of the rows."""
    width = max(len(row.ids) for row in batch)
    ids_BT = torch.tensor([[*row.ids, *[0] * (width - len(row.ids))] for row in batch])
    weights_BT = torch.tensor(
        [
            [*(1.0 if written else environment_weight for written in row.written), *[0.0] * (width - len(row.ids))]
            for row in batch
        ]
    )
    # Padding is on the right, where causal attention never looks, so no mask is needed.
    logits_BTV = model(input_ids=ids_BT, use_cache=False).logits
    losses_N = cross_entropy(logits_BTV[:, :-1].flatten(0, 1), ids_BT[:, 1:].flatten(), reduction="none")
    weights_N = weights_BT[:, 1:].flatten()
    return (losses_N * weights_N).sum() / weights_N.sum()


def batches(rows: Sequence[Row], tokens: int, rng: random.Random) -> Iterator[list[Row]]:
    """Endless batches of rows of similar length, each of at most `tokens` tokens with its padding."""
    while True:
        shuffled = rng.sample(rows, len(rows))
        for start in range(0, len(shuffled), _POOL):
            pool = list(_cut(sorted(shuffled[start : start + _POOL], key=_length), tokens))
            yield from rng.sample(pool, len(pool))


def _cut(rows: Sequence[Row], tokens: int) -> Iterator[list[Row]]:
    """Cuts rows that are sorted by length into batches."""
    batch: list[Row] = []
    for row in rows:
        if batch and (len(batch) + 1) * len(row.ids) > tokens:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _length(row: Row) -> int:
    return len(row.ids)
