"""How texts are put together into the rectangles that a network computes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

Batch = tuple[list[int], int]
"""Numbers of the texts in it, and the tokens to which all are padded."""


def by_length(lengths: Sequence[int], rows: int) -> Iterator[Batch]:
    """Batches of texts of similar length, the longest first, so that little is padding."""
    order = sorted(range(len(lengths)), key=lambda number: -lengths[number])
    for start in range(0, len(order), rows):
        batch = order[start : start + rows]
        yield batch, lengths[batch[0]]


def of_one_length(lengths: Sequence[int], rows: int, multiple: int = 1, longest: int = 0) -> Iterator[Batch]:
    """Batches whose texts all have one length, rounded up to a multiple: none is padded because of another.

    Args:
        lengths: tokens of each text.
        rows: the most texts of a batch.
        multiple: to which lengths are rounded up, at most to `longest`.
        longest: the most tokens that the network takes.
    """

    def rounded(number: int) -> int:
        up = -(-lengths[number] // multiple) * multiple
        return max(lengths[number], min(up, longest))

    order = sorted(range(len(lengths)), key=rounded)
    for length, group in groupby(order, key=rounded):
        same = list(group)
        for start in range(0, len(same), rows):
            yield same[start : start + rows], length
