"""What a study runs, read from `recipes/study/study.yaml`."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import yaml

from mrsearch.data.world import WorldParameters
from mrsearch.errors import UserError

Shape = Literal["several", "single", "long"]


def _digest(settings: object) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """How a policy is tested: held-out `questions`, over `attempts` with reflection or so many `independent` ones."""

    questions: int
    attempts: int
    independent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One way of training.

    Attributes:
        about: one line for the tables.
        shape: "several" attempts; a "single" one, with the searches of one of them; a "long" one, with the searches
            of all.
        settings: Hydra overrides.
        trained: false for the warm start itself.
    """

    about: str
    shape: Shape = "several"
    settings: Sequence[str] = ()
    trained: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """One world and one budget of searches.

    Attributes:
        about: one line for the tables.
        attempts, searches: of "several" attempts, and in each of them.
        arms: names of the arms that are run, the first of all shapes first.
        world: parameters of the world, where not its defaults.
        settings: Hydra overrides of all its runs.
    """

    about: str
    attempts: int
    searches: int
    arms: Sequence[str]
    world: Mapping[str, Any] = field(default_factory=dict)
    settings: Sequence[str] = ()

    def budget(self, shape: Shape) -> tuple[int, int]:
        """Attempts, and searches in each, that a shape trains with."""
        match shape:
            case "several":
                return self.attempts, self.searches
            case "single":
                return 1, self.searches
            case "long":
                return 1, self.attempts * self.searches

    def world_parameters(self, test_questions: int) -> WorldParameters:
        return WorldParameters(**{**self.world, "test_questions": test_questions})

    def world_name(self, test_questions: int) -> str:
        """A name that no other world has."""
        return _digest(asdict(self.world_parameters(test_questions)))


@dataclass(frozen=True, slots=True)
class Job:
    """One run: an arm of an experiment with a seed."""

    experiment: str
    arm: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.experiment}/{self.arm}-{self.seed}"


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that can be run."""

    test: Test
    arms: Mapping[str, Arm]
    experiments: Mapping[str, Experiment]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads a plan.

        Raises:
            UserError: the file is none, or something in it is not known.
        """
        try:
            given = yaml.safe_load(path.read_text(encoding="utf-8"))
            plan = cls(
                test=Test(**given["test"]),
                arms={name: Arm(**arm) for name, arm in given["arms"].items()},
                experiments={name: Experiment(**experiment) for name, experiment in given["experiments"].items()},
            )
        except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path} is no plan of a study: {type(error).__name__}: {error}.") from error
        for name, experiment in plan.experiments.items():
            if unknown := [arm for arm in experiment.arms if arm not in plan.arms]:
                raise UserError(f"{path}: the experiment {name!r} names {unknown[0]!r}, which is no arm.")
            experiment.world_parameters(plan.test.questions)
        return plan

    def jobs(self, names: Sequence[str], seeds: int) -> Iterator[Job]:
        """The runs of the named experiments, whole seeds first; an untrained policy has one seed.

        Raises:
            UserError: an experiment is not known.
        """
        for name in names:
            if name not in self.experiments:
                raise UserError(f"There is no experiment {name!r}; choose of {', '.join(self.experiments)}.")
        for name in names:
            for seed in range(seeds):
                for arm in self.experiments[name].arms:
                    if seed == 0 or self.arms[arm].trained:
                        yield Job(name, arm, seed)

    def fingerprint(self, job: Job, overrides: Sequence[str] = ()) -> str:
        """Twelve hexadecimal digits that tell runs apart by all that the plan says of them, their seed aside."""
        experiment, arm = asdict(self.experiments[job.experiment]), asdict(self.arms[job.arm])
        del experiment["arms"], experiment["about"], arm["about"]
        return _digest([asdict(self.test), experiment, arm, list(overrides)])

    def smaller(self, **changes: int) -> "Plan":
        """The plan with other numbers for the tests."""
        return dataclasses.replace(self, test=dataclasses.replace(self.test, **changes))
