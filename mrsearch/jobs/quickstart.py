"""`mrsearch quickstart`: the main job on this machine, from nothing to a table of before and after."""

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from mrsearch.data.questions import read_questions
from mrsearch.data.world import WorldParameters, make_world, write_world
from mrsearch.episode import EpisodeConfig
from mrsearch.evaluation.evaluate import Evaluation
from mrsearch.evaluation.policies import PolicySpec
from mrsearch.evaluation.reports import mean_mismatch, plot_learning_curves, table
from mrsearch.jobs.cluster import ray_cluster
from mrsearch.jobs.evaluate import evaluate_in_cluster
from mrsearch.jobs.progress import bar
from mrsearch.jobs.resources import Resources
from mrsearch.jobs.train import check_setting, is_finished, prepare, train_with_bar
from mrsearch.models import trained_model
from mrsearch.runs import RunFolder, write_atomically
from mrsearch.verl_plugin.recipes import compose_recipe, override
from retriever.indexes.bm25 import build_index
from retriever.service.ray_serve import deploy


def quickstart(out: Path, console: Console, *, overrides: tuple[str, ...] = (), questions: int = 300) -> None:
    """Builds, serves, evaluates, trains, evaluates and reports; continues where it was interrupted.

    Args:
        out: the run folder.
        overrides: Hydra overrides of the recipe "quickstart".
        questions: held-out questions of each evaluation.

    Raises:
        UserError: the machine lacks something; nothing was started.
        JobFailed: a phase failed; its logs are in the run folder.
    """
    run = RunFolder(out.absolute())
    if run.report.is_file():
        console.print(f"{out} is complete; delete it to start over.")
        _show(run, console)
        return
    config = _recipe(run, overrides)
    check_setting(config)
    resources = Resources(run.path / "resources.json")
    with resources.watched():
        _phase(console, "world", run.path / "world" / "world.json", lambda: _make_world(run, config))
        _phase(console, "index", run.path / "index" / "manifest.json", lambda: _make_index(run))
        _, steps = prepare(config)
        with ray_cluster(config.mrsearch.platform, run.logs):
            service = deploy(run.path / "index", port=_free_port())
            console.print(f"  serve      {service.url}/retrieve")
            before = _evaluate(run, "before", Path(config.mrsearch.model), config, questions, console)
            if not is_finished(run, steps, config.mrsearch.token_budget):
                train_with_bar(config, run, steps, console)
            after = _evaluate(run, "after", trained_model(run)[1], config, questions, console)
    _report(run, before, after, resources)
    _show(run, console)


def _recipe(run: RunFolder, overrides: tuple[str, ...]) -> DictConfig:
    own = [
        override("mrsearch.run", run.path),
        override("mrsearch.train_questions", run.path / "world" / "train.jsonl"),
        override("mrsearch.val_questions", run.path / "world" / "test.jsonl"),
        override("mrsearch.index", run.path / "index"),
    ]
    return compose_recipe("quickstart", [*own, *overrides])


def _phase(console: Console, name: str, product: Path, make: Callable[[], None]) -> None:
    if product.exists():
        console.print(f"  {name:<10} there")
        return
    start = time.monotonic()
    with console.status(name):
        make()
    console.print(f"  {name:<10} {time.monotonic() - start:.0f} s")


def _make_world(run: RunFolder, config: DictConfig) -> None:
    parameters: dict[str, Any] = OmegaConf.to_container(config.world.parameters)
    write_world(make_world(WorldParameters(**parameters), config.world.seed), run.path / "world")


def _make_index(run: RunFolder) -> None:
    build_index(run.path / "world" / "corpus.jsonl", run.path / "index")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _evaluate(
    run: RunFolder, name: str, model: Path, config: DictConfig, questions: int, console: Console
) -> dict[str, Any]:
    """Evaluates a model in a process of the cluster, greedily, on held-out questions."""
    evaluation = Evaluation(
        policy=PolicySpec(model=str(model)),
        questions=read_questions(run.path / "world" / "test.jsonl")[:questions],
        retriever="serve:retriever",
        episode=EpisodeConfig(**OmegaConf.to_container(config.mrsearch.episode)),
        out=run.path / name,
    )
    report = RunFolder(evaluation.out).report
    if report.is_file():
        console.print(f"  {name:<10} there")
        return _only_benchmark(json.loads(report.read_text()))
    with bar(console, name, len(evaluation.questions)) as update:
        (figures,) = evaluate_in_cluster([evaluation], run.logs, update)
        return _only_benchmark(figures)


def _only_benchmark(report: dict[str, Any]) -> dict[str, Any]:
    (figures,) = report["benchmarks"].values()
    return dict(figures)


def _report(run: RunFolder, before: dict[str, Any], after: dict[str, Any], resources: Resources) -> None:
    steps = run.read_metrics()
    plot_learning_curves(steps, run.path / "learning_curves.png")
    report = {
        "before": before,
        "after": after,
        "minutes": round(resources.minutes, 2),
        "peak_memory_gib": round(resources.peak_memory_gib, 2),
        "logprob_mismatch_mean": mean_mismatch(steps),
        "training_steps": steps[-1]["step"],
    }
    write_atomically(run.report, json.dumps(report, indent=2) + "\n")


def _show(run: RunFolder, console: Console) -> None:
    report = json.loads(run.report.read_text())
    console.print(table({name: report[name] for name in ("before", "after")}))
    console.print(
        f"{report['minutes']:.1f} minutes, peak memory {report['peak_memory_gib']:.1f} GiB, mean |Δ log-probability| "
        f"of engine and trainer {report['logprob_mismatch_mean']:.1e}"
    )
    console.print(f"Learning curves: {run.path / 'learning_curves.png'}", soft_wrap=True)
    console.print(f"Run folder:      {run.path}", soft_wrap=True)
