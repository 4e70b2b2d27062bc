"""What the results of a study say: means over seeds and questions, with intervals that resample both."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from mrsearch.jobs.study.plan import Experiment, Plan, Shape
from mrsearch.jobs.study.results import Floats, Result, counts

_RESAMPLES = 4000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean and its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def is_apart_from_zero(self) -> bool:
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f}–{self.high:.2f})"

    @property
    def signed(self) -> str:
        return f"{self.value:+.3f} ({self.low:+.3f} to {self.high:+.3f})"


@dataclass(frozen=True, slots=True)
class ArmResults:
    """The results of one arm of one experiment, by seed."""

    name: str
    shape: Shape
    results: Sequence[Result]

    def right(self, test: str, attempt: int) -> Floats:
        """Exact match at a 1-based attempt: (S seeds, Q questions)."""
        return self._counts(test, "right")[:, attempt - 1]

    def any_right(self, test: str, attempts: int) -> Floats:
        """Whether one of the first attempts is right: (S, Q)."""
        any_SQ: Floats = self._counts(test, "right")[:, :attempts].max(axis=1)
        return any_SQ

    def vote(self, samples: int) -> Floats:
        """Exact match of the commonest of so many independent answers: (S, Q)."""
        return self._counts("independent", "vote")[:, samples - 1]

    def searched(self, test: str, attempt: int) -> Floats:
        """Searches in a 1-based attempt: (S, Q)."""
        return self._counts(test, "searched")[:, attempt - 1]

    def coverage(self, test: str, attempt: int) -> Floats:
        """Share of its gold passages that a question has been shown up to and including an attempt: (S, Q)."""
        gold_SQ = np.array([counts([result.tests[test]["gold"]])[0] for result in self.results])
        share_SQ: Floats = self._counts(test, "found")[:, attempt - 1] / gold_SQ
        return share_SQ

    def _counts(self, test: str, figure: str) -> Floats:
        return np.array([counts(result.tests[test][figure]) for result in self.results])

    def mean(self, test: str, figure: str) -> list[float]:
        """A figure of the test by attempt, mean over the seeds."""
        return [float(mean) for mean in np.mean([result.tests[test][figure] for result in self.results], axis=0)]

    @property
    def trained(self) -> bool:
        return any(result.training for result in self.results)

    def only(self, seeds: Collection[int]) -> Self:
        """The arm with some of its seeds."""
        return replace(self, results=[result for result in self.results if result.job.seed in seeds])

    @property
    def detailed(self) -> Self:
        """The arm with those results that tell of every question what was searched and found; the first ones do not."""
        return replace(self, results=[result for result in self.results if "found" in result.tests["greedy"]])

    @property
    def attempts(self) -> int:
        """How many attempts the test had."""
        return len(self.results[0].tests["greedy"]["right"])

    @property
    def has_independent(self) -> bool:
        return all("independent" in result.tests for result in self.results)


def arms_of(plan: Plan, name: str, results: Sequence[Result]) -> list[ArmResults]:
    """The arms of an experiment that have results, in the plan's order."""
    found: dict[str, list[Result]] = {arm: [] for arm in plan.experiments[name].arms}
    for result in results:
        if result.job.experiment == name and result.job.arm in found:
            found[result.job.arm].append(result)
    by_seed = {arm: sorted(parts, key=lambda result: result.job.seed) for arm, parts in found.items()}
    return [ArmResults(arm, plan.arms[arm].shape, parts) for arm, parts in by_seed.items() if parts]


def questions_by_hops(arms: Sequence[ArmResults]) -> Mapping[str, npt.NDArray[np.intp]]:
    """Which questions have "1 hop", which "2 hops"; nothing where all have as many, or no result tells."""
    detailed = next((part for arm in arms for part in arm.detailed.results), None)
    if detailed is None:
        return {}
    hops_Q = counts([detailed.tests["greedy"]["gold"]])[0]
    kinds = np.unique(hops_Q) if len(np.unique(hops_Q)) > 1 else ()
    return {f"{hops:.0f} hop{'s' if hops > 1 else ''}": np.flatnonzero(hops_Q == hops) for hops in kinds}


def final(arm: ArmResults, experiment: Experiment, test: str) -> Floats:
    """Exact match where the arm's training ends: the last of several attempts, or the only one: (S, Q)."""
    return arm.right(test, experiment.budget(arm.shape)[0])


def estimate(values_SQ: Floats) -> Estimate:
    """The mean with its percentile bootstrap interval: seeds and questions are resampled, each with replacement.

    With one seed only questions are resampled. Few seeds make for a coarse interval, and too narrow a one.
    """
    seeds, questions = values_SQ.shape
    generator = np.random.default_rng(0)
    weight_RS = generator.multinomial(seeds, [1 / seeds] * seeds, size=_RESAMPLES) / seeds
    weight_RQ = generator.multinomial(questions, [1 / questions] * questions, size=_RESAMPLES) / questions
    mean_R = np.einsum("rs,sq,rq->r", weight_RS, values_SQ, weight_RQ, optimize=True)
    low, high = np.percentile(mean_R, [2.5, 97.5])
    return Estimate(float(values_SQ.mean()), float(low), float(high))


def matched(a: ArmResults, b: ArmResults) -> tuple[ArmResults, ArmResults]:
    """Both arms with the seeds that they share; an untrained policy has one seed, which stands beside every other."""
    if not (a.trained and b.trained):
        return a, b
    seeds = {result.job.seed for result in a.results} & {result.job.seed for result in b.results}
    return a.only(seeds), b.only(seeds)


def difference(a_SQ: Floats, b_SQ: Floats) -> Estimate:
    """Mean of a − b of matched arms, paired by question and by seed."""
    return estimate(a_SQ - b_SQ)


def by_seed(a_SQ: Floats, b_SQ: Floats) -> list[float]:
    """The mean difference of matched arms for each seed."""
    return [float(d) for d in (a_SQ - b_SQ).mean(axis=1)]


def curve(result: Result, points: Floats) -> Floats:
    """Reward of the last attempt at the given numbers of sampled tokens, smoothed over a tenth of the run's steps."""
    tokens = np.array([step["tokens"] for step in result.curve], dtype=np.float64)
    reward = np.array([step["reward"][-1] for step in result.curve], dtype=np.float64)
    width = max(1, len(reward) // 10)
    padded = np.concatenate([np.full(width - 1, reward[0]), reward])
    return np.interp(points, tokens, np.convolve(padded, np.ones(width) / width, mode="valid"))


def unfinished(plan: Plan, results: Sequence[Result], seeds: int) -> Mapping[str, int]:
    """How many runs of each experiment have no result yet."""
    done = {result.job for result in results}
    return {name: sum(job not in done for job in plan.jobs([name], seeds)) for name in plan.experiments}
