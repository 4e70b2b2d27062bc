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


def apart(lengths: Sequence[int], rows: int, multiple: int, longest: int) -> Iterator[Batch]:
    """Batches in which the shape of what is computed for a text depends on that text alone.

    A length is rounded up to the next multiple, always by at least one token: transformers takes another path where
    no text of a batch is padded. Where that would be more than the network takes, there is no padding.

    Args:
        lengths: tokens of each text.
        rows: the most texts of a batch.
        multiple: to which lengths are rounded up.
        longest: the most tokens that the network takes.
    """

    def padded(number: int) -> tuple[int, bool]:
        length = lengths[number]
        up = (length // multiple + 1) * multiple
        return (up, True) if up <= longest else (length, False)

    order = sorted(range(len(lengths)), key=padded)
    for (length, _), group in groupby(order, key=padded):
        same = list(group)
        for start in range(0, len(same), rows):
            yield same[start : start + rows], length
