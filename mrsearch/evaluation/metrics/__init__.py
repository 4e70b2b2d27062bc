"""The figures of scored meta-episodes; one definition for training, validation and evaluation."""

from mrsearch.evaluation.metrics.paired import mean_difference, paired
from mrsearch.evaluation.metrics.rows import Row, latest, read_rows
from mrsearch.evaluation.metrics.summary import summarise, summarise_benchmarks

__all__ = ["Row", "latest", "mean_difference", "paired", "read_rows", "summarise", "summarise_benchmarks"]
