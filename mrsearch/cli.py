"""The command line: one thin command per job."""

import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from mrsearch.data.cli import app as data_app
from mrsearch.errors import UserError
from mrsearch.evaluation.modes import MODES
from mrsearch.runs import RunFolder
from retriever.commands import app as retriever_app
from retriever.errors import RetrieverError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train, serve and evaluate search agents that try, reflect and try again.",
)
app.add_typer(data_app, name="data")
app.add_typer(retriever_app, name="retriever")

_MODES = f"One of {', '.join(MODES)}."


class Tracker(StrEnum):
    """What else a training can log to."""

    WANDB = "wandb"
    MLFLOW = "mlflow"


Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings to change.")]
Model = Annotated[str, typer.Option(help="Model or run folder, hub name, URL of an endpoint, or scripted:title.")]
EpisodeRecipe = Annotated[str, typer.Option(help="Recipe whose episode settings hold.")]
Attempts = Annotated[int | None, typer.Option(help="Attempts, where not the recipe's.")]
Temperature = Annotated[float, typer.Option(min=0, help="0 decodes greedily.")]
Seed = Annotated[int, typer.Option(help="Of sampled decoding.")]
ModelName = Annotated[str | None, typer.Option(help="The model's name at an endpoint that serves several.")]
TokeniserFolder = Annotated[Path | None, typer.Option(help="Tokeniser of an endpoint's model: exact tokens.")]


@app.command()
def doctor() -> None:
    """Check this machine, and say what each recipe needs that is missing."""
    from mrsearch.jobs.doctor import examine

    raise typer.Exit(examine(Console()))


@app.command()
def quickstart(
    overrides: Overrides = None,
    out: Annotated[Path, typer.Option(help="Run folder.")] = Path("runs/quickstart"),
    questions: Annotated[int, typer.Option(min=1, help="Held-out questions of each evaluation.")] = 300,
) -> None:
    """Train a tiny search agent on this machine with the real stack, and measure it before and after."""
    with _job_console(out) as console:
        from mrsearch.jobs.quickstart import quickstart as run

        run(out, console, overrides=tuple(overrides or ()), questions=questions)


@app.command()
def study(
    experiments: Annotated[
        list[str] | None, typer.Argument(metavar="[EXPERIMENT]...", help="Which to run; all of the plan by default.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("runs/study"),
    plan: Annotated[Path | None, typer.Option(help="YAML file of another plan than recipes/study/study.yaml.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of every arm.")] = 3,
    minutes: Annotated[float, typer.Option(min=0, help="No run is begun after so many; 0 only reports.")] = 600,
    setting: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="A setting of every training.")] = None,
) -> None:
    """Compare ways of training from one warm start at equal sampled tokens; the same command continues."""
    with _job_console(out) as console:
        from mrsearch.jobs.study import study as run

        run(experiments or [], out, console, plan=plan, seeds=seeds, minutes=minutes, overrides=setting or [])


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, or path of its YAML file.")],
    overrides: Overrides = None,
    out: Annotated[Path, typer.Option(help="Run folder.")] = Path("runs/train"),
    model: Annotated[str | None, typer.Option(help="Model folder, run or hub name to start from.")] = None,
    questions: Annotated[Path | None, typer.Option(help="Training questions, .jsonl or .parquet.")] = None,
    corpus: Annotated[Path | None, typer.Option(help="Passages to index and search, .jsonl.")] = None,
    retriever: Annotated[str | None, typer.Option(help="Index folder or URL to search instead of a corpus.")] = None,
    track: Annotated[list[Tracker] | None, typer.Option(help="Also log to it, beside files and TensorBoard.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the resolved configuration and stop.")] = False,
) -> None:
    """Train with a recipe; the same command continues an interrupted run."""
    given: dict[str, object] = {"run": out, "model": model, "train_questions": questions, "corpus": corpus}
    given["index" if retriever and Path(retriever).is_dir() else "searcher"] = retriever
    with _job_console(out) as console:
        from mrsearch.jobs.dry_run import dry_run as show
        from mrsearch.jobs.machine import detect_platform
        from mrsearch.jobs.train import train as run
        from mrsearch.verl_plugin.recipes import compose_recipe, override

        settings = [override(f"mrsearch.{name}", value) for name, value in given.items() if value is not None]
        settings += [override("trainer.experiment_name", out.name)]
        settings += [f"trainer.logger=[file,tensorboard,{','.join(track)}]"] if track else []
        # A recipe for GPUs stays one where there is none; it says so when it is started.
        platform = ["platform=cuda"] if detect_platform() == "cuda" else []
        config = compose_recipe(recipe, [*platform, *settings, *(overrides or ())])
        if dry_run:
            show(config, console)
            return
        finished = run(config, console)
        console.print(f"Run folder: {finished.path}", soft_wrap=True)


@app.command("eval")
def evaluate(
    model: Model,
    out: Annotated[Path, typer.Option(help="Run folder.")],
    overrides: Overrides = None,
    benchmarks: Annotated[str | None, typer.Option(help="Names of sets in --data, with commas between them.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder that `mrsearch data prepare` made.")] = None,
    questions: Annotated[list[Path] | None, typer.Option(help="A question file, .jsonl, .csv or .parquet.")] = None,
    retriever: Annotated[str | None, typer.Option(help="Index folder or URL.")] = None,
    mode: Annotated[str, typer.Option(help=_MODES)] = "mr-search",
    recipe: EpisodeRecipe = "default",
    attempts: Attempts = None,
    samples: Annotated[int, typer.Option(help="How often each question is asked.")] = 1,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many questions of each set.")] = None,
    temperature: Temperature = 0.0,
    seed: Seed = 0,
    concurrency: Annotated[int, typer.Option(min=1, help="Meta-episodes under way at once.")] = 64,
    model_name: ModelName = None,
    tokenizer: TokeniserFolder = None,
) -> None:
    """Evaluate a model on benchmarks; the same command continues an interrupted evaluation."""
    given = [] if attempts is None else [f"mrsearch.episode.attempts={attempts}"]
    with _job_console(out) as console:
        from mrsearch.evaluation.policies import PolicySpec
        from mrsearch.jobs.evaluate import evaluate as run
        from mrsearch.jobs.evaluate import question_files
        from mrsearch.jobs.machine import detect_platform

        run(
            recipe,
            [*given, *(overrides or ())],
            console,
            platform=detect_platform(),
            files=question_files(benchmarks, data, questions or []),
            limit=limit,
            policy=PolicySpec(
                model=model,
                temperature=temperature,
                seed=seed,
                concurrency=concurrency,
                model_name=model_name,
                tokenizer=tokenizer,
            ),
            retriever=retriever,
            out=out,
            mode=mode,
            samples=samples,
        )


@app.command()
def score(
    file: Annotated[Path, typer.Argument(help="JSON lines with question, golden_answers and response.")],
    out: Annotated[Path | None, typer.Option(help="Where the rows with their scores go.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Score stored transcripts, attempt by attempt, as Search-R1's published scorer does."""
    from mrsearch.jobs.score import score as run

    run(file, out, Console(), as_json=as_json)


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN...", help="Run folders of evaluations.")],
    out: Annotated[Path | None, typer.Option(help="JSON file for the whole comparison.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole comparison as JSON.")] = False,
) -> None:
    """Show evaluations side by side, with paired differences from the first and their significance."""
    from mrsearch.jobs.compare import compare as run

    run(runs, out, Console(), as_json=as_json)


@app.command()
def ask(
    model: Model,
    retriever: Annotated[str, typer.Option(help="Index folder or URL.")],
    words: Annotated[
        list[str] | None, typer.Argument(metavar='"QUESTION" [KEY=VALUE]...', help="What to ask; settings to change.")
    ] = None,
    interactive: Annotated[
        bool, typer.Option("--interactive", help="Ask for further questions, until Ctrl-D.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the records, a line each, and nothing else.")] = False,
    recipe: EpisodeRecipe = "default",
    attempts: Attempts = None,
    temperature: Temperature = 0.0,
    seed: Seed = 0,
    model_name: ModelName = None,
    tokenizer: TokeniserFolder = None,
    log: Annotated[Path | None, typer.Option(help="File for what the libraries say; thrown away without it.")] = None,
) -> None:
    """Ask a question in the terminal, and watch the attempts as they are made."""
    from mrsearch.jobs.console import quiet

    given = [] if attempts is None else [f"mrsearch.episode.attempts={attempts}"]
    with tempfile.TemporaryDirectory(prefix="mrs-log-") as folder, quiet(log or Path(folder) / "main.log") as console:
        from mrsearch.evaluation.policies import PolicySpec
        from mrsearch.jobs.ask import Asking, questions_and_settings
        from mrsearch.jobs.ask import ask as run
        from mrsearch.jobs.machine import detect_platform

        questions, overrides = questions_and_settings(words or [], console, interactive=interactive)
        policy = PolicySpec(
            model=model,
            temperature=temperature,
            seed=seed,
            concurrency=1,
            model_name=model_name,
            tokenizer=tokenizer,
        )
        asking = Asking(questions=questions, policy=policy, retriever=retriever, as_json=as_json)
        if not run(asking, recipe, [*given, *overrides], console, platform=detect_platform()):
            raise typer.Exit(1)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Run folder of a training.")],
    out: Annotated[Path, typer.Option(help="Folder to create.")],
) -> None:
    """Write a run's newest checkpoint as a Hugging Face folder."""
    from mrsearch.jobs.export import export_checkpoint

    step = export_checkpoint(run, out)
    typer.echo(f"Checkpoint of step {step}: {out}")


@app.command()
def view(
    run: Annotated[Path, typer.Argument(help="Run folder of a training or an evaluation.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8600,
    open_browser: Annotated[bool, typer.Option("--open", help="Show the page in this machine's browser.")] = False,
) -> None:
    """Show a run as a local web page: curves, meta-episodes, and who earned the credit."""
    from mrsearch.jobs.view import view as show

    show(run, Console(), host=host, port=port, open_browser=open_browser)


@contextmanager
def _job_console(out: Path) -> Iterator[Console]:
    """The console of a job whose libraries' output goes to its run folder, if the job gets so far as to make one."""
    from mrsearch.jobs.console import quiet

    with tempfile.TemporaryDirectory(prefix="mrs-log-") as folder:
        log = Path(folder) / "main.log"
        try:
            with quiet(log) as console:
                yield console
        finally:
            if out.is_dir() and any(out.iterdir()):
                logs = RunFolder(out).logs
                logs.mkdir(exist_ok=True)
                with (logs / "main.log").open("ab") as kept:
                    kept.write(log.read_bytes())
            elif out.is_dir():
                out.rmdir()


def main() -> None:
    """Runs the command line; bad input ends in one sentence and status 1."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        app()
    except (UserError, RetrieverError) as error:
        Console(stderr=True, soft_wrap=True).print(str(error), style="red", markup=False, highlight=False)
        sys.exit(1)
    except KeyboardInterrupt:
        Console(stderr=True).print("Interrupted; the same command continues.")
        sys.exit(130)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """A job that is asked to end ends as on Ctrl-C: it stops what it started and can be continued."""
    raise KeyboardInterrupt
