"""Runs a study: one started stack for each experiment, one training and its tests for each job."""

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from mrsearch.data.questions import Question, read_questions
from mrsearch.data.world import make_world, write_world
from mrsearch.episode import EpisodeConfig
from mrsearch.evaluation.evaluate import Evaluation
from mrsearch.evaluation.policies import PolicySpec
from mrsearch.jobs.cluster import ray_cluster
from mrsearch.jobs.evaluate import evaluate_in_cluster
from mrsearch.jobs.progress import bar
from mrsearch.jobs.study.plan import Experiment, Job, Plan
from mrsearch.jobs.study.results import Result, is_done, scored, scored_independently, write_result
from mrsearch.jobs.train import check_setting, is_finished, prepare, train_with_bar
from mrsearch.models import trained_model
from mrsearch.runs import RunFolder, read_json_lines
from mrsearch.verl_plugin.recipes import compose_recipe, override
from retriever.indexes.bm25 import build_index
from retriever.service.ray_serve import deploy

_WORLD_SEED = 0


def run_study(
    plan: Plan, jobs: Sequence[Job], out: Path, console: Console, *, minutes: float, overrides: Sequence[str]
) -> None:
    """Runs the jobs that have no result yet; after `minutes` none is begun.

    Several processes may work on one folder: each takes jobs that no other has in hand.

    Raises:
        UserError: the machine or a setting is not fit; nothing was started.
        JobFailed: a training or a test failed; its logs are in its run folder.
    """
    end = time.monotonic() + 60 * minutes
    for name in dict.fromkeys(job.experiment for job in jobs):
        mine = [job for job in jobs if job.experiment == name]
        todo = [job for job in mine if not is_done(out, job, plan.fingerprint(job, overrides))]
        if not todo or time.monotonic() > end:
            continue
        bench = _Bench(plan, name, out, overrides, console)
        with bench.started():
            for job in todo:
                if time.monotonic() > end:
                    console.print(f"{minutes:g} minutes are over; the same command continues.")
                    return
                bench.run(job)


class _Bench:
    """The world, the cluster and the retriever of one experiment."""

    def __init__(self, plan: Plan, name: str, out: Path, overrides: Sequence[str], console: Console) -> None:
        self._plan, self._name, self._out, self._console = plan, name, out.absolute(), console
        self._overrides = overrides
        self._experiment: Experiment = plan.experiments[name]
        self._folder = self._out / "worlds" / self._experiment.world_name(plan.test.questions)

    @contextmanager
    def started(self) -> Iterator[None]:
        with FileLock(self._out / ".worlds.lock"):
            self._make_world()
        config = self._config(Job(self._name, self._experiment.arms[0], 0))
        check_setting(config)
        with ray_cluster(config.mrsearch.platform, self._out / "logs" / self._name):
            deploy(self._folder / "index")
            yield

    def run(self, job: Job) -> None:
        """Trains, tests and writes the result, unless another process is at it; then removes what is large."""
        run = RunFolder(self._out / "runs" / job.name)
        run.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(run.path / ".lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return
        with lock:
            settings = self._plan.fingerprint(job, self._overrides)
            if is_done(self._out, job, settings):
                return
            self._console.print(f"{job.name}: {self._plan.arms[job.arm].about}")
            config = self._config(job)
            trained = self._plan.arms[job.arm].trained
            training = self._train(config, run) if trained else None
            model = trained_model(run)[1] if trained else Path(config.mrsearch.model)
            tests = self._test(job, config, model)
            write_result(self._out, Result(job, settings, training, _curve(run) if trained else [], tests))
            for large in (run.checkpoints, run.path / "episodes", *(run.path / name for name in tests)):
                shutil.rmtree(large, ignore_errors=True)

    def _make_world(self) -> None:
        if not (self._folder / "world").is_dir():
            parameters = self._experiment.world_parameters(self._plan.test.questions)
            write_world(make_world(parameters, _WORLD_SEED), self._folder / "world")
        if not (self._folder / "index").is_dir():
            build_index(self._folder / "world" / "corpus.jsonl", self._folder / "index")

    def _config(self, job: Job) -> DictConfig:
        arm = self._plan.arms[job.arm]
        attempts, searches = self._experiment.budget(arm.shape)
        own = [
            override("mrsearch.run", self._out / "runs" / job.name),
            override("mrsearch.train_questions", self._folder / "world" / "train.jsonl"),
            override("mrsearch.val_questions", self._folder / "world" / "test.jsonl"),
            override("mrsearch.index", self._folder / "index"),
            f"mrsearch.seed={job.seed}",
            f"mrsearch.episode.attempts={attempts}",
            f"mrsearch.episode.max_searches={searches}",
        ]
        return compose_recipe("study", [*own, *self._experiment.settings, *arm.settings, *self._overrides])

    def _train(self, config: DictConfig, run: RunFolder) -> dict[str, float]:
        check_setting(config)
        _, steps = prepare(config)
        start = time.monotonic()
        if not is_finished(run, steps, config.mrsearch.token_budget):
            train_with_bar(config, run, steps, self._console)
        last = run.read_metrics()[-1]
        return {
            "attempts": config.mrsearch.episode.attempts,
            "searches": config.mrsearch.episode.max_searches,
            "steps": last["step"],
            "tokens": last["tokens/total"],
            "minutes": round((time.monotonic() - start) / 60, 1),
        }

    def _tests(self, job: Job) -> Sequence[str]:
        several = self._plan.arms[job.arm].shape == "several"
        alone = several and self._plan.arms[job.arm].trained
        return ("greedy", "sampled") if alone else ("greedy", "sampled", "independent")

    def _test(self, job: Job, config: DictConfig, model: Path) -> dict[str, Mapping[str, Any]]:
        questions = read_questions(self._folder / "world" / "test.jsonl")
        evaluations = {name: self._evaluation(name, job, config, model, questions) for name in self._tests(job)}
        with bar(self._console, "test", sum(len(e.cases) for e in evaluations.values())) as update:
            evaluate_in_cluster(list(evaluations.values()), self._out / "logs" / self._name, update)
        return {
            name: (scored_independently if name == "independent" else scored)(read_json_lines(e.records), questions)
            for name, e in evaluations.items()
        }

    def _evaluation(
        self, name: str, job: Job, config: DictConfig, model: Path, questions: Sequence[Question]
    ) -> Evaluation:
        alone = name == "independent"
        episode = OmegaConf.to_container(config.mrsearch.episode)
        episode["attempts"] = self._plan.test.independent if alone else self._plan.test.attempts
        # Room for as many attempts as a test has, which are more than the training's.
        episode["context_tokens"] *= 2
        return Evaluation(
            policy=PolicySpec(model=str(model), temperature=0.0 if name == "greedy" else 1.0, seed=job.seed),
            questions=questions,
            retriever="serve:retriever",
            episode=EpisodeConfig(**episode),
            out=self._out / "runs" / job.name / name,
            mode="independent" if alone else "mr-search",
        )


def _curve(run: RunFolder) -> list[dict[str, Any]]:
    return [
        {
            "tokens": int(step["tokens/total"]),
            **{name: _by_attempt(step, name) for name in ("reward", "searches")},
            "entropy": round(step["actor/entropy"], 3),
        }
        for step in run.read_metrics()
    ]


def _by_attempt(step: Mapping[str, float], name: str) -> list[float]:
    attempts = sum(key.startswith("attempt_") and key.endswith("/reward") for key in step)
    return [round(step[f"attempt_{n}/{name}"], 3) for n in range(1, attempts + 1)]
