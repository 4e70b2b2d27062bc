"""The commands of `mrsearch data`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from mrsearch.data.world import WorldParameters, make_world, write_world

app = typer.Typer(no_args_is_help=True, help="Makes and prepares questions and corpora.")

_DEFAULTS = WorldParameters()


@app.callback()
def _data() -> None:
    """Makes and prepares questions and corpora."""


@app.command()
def world(
    out: Annotated[Path, typer.Option(help="Folder to write; an earlier world there is replaced.")],
    seed: Annotated[int, typer.Option(help="The same seed and parameters make the same world.")] = 0,
    names: Annotated[int, typer.Option(help="Combinations of a first and a last name.")] = _DEFAULTS.names,
    first_names: Annotated[int, typer.Option(help="Different first names.")] = _DEFAULTS.first_names,
    last_names: Annotated[int, typer.Option(help="Different last names.")] = _DEFAULTS.last_names,
    occupations: Annotated[int, typer.Option(help="Different occupations.")] = _DEFAULTS.occupations,
    towns: Annotated[int, typer.Option(help="Different towns.")] = _DEFAULTS.towns,
    employers: Annotated[int, typer.Option(help="Different employers.")] = _DEFAULTS.employers,
    max_namesakes: Annotated[
        int, typer.Option(help="Each name is borne by 1 to this many persons.")
    ] = _DEFAULTS.max_namesakes,
    hops: Annotated[
        tuple[float, float, float], typer.Option(help="Shares of questions with 1, 2 and 3 hops.")
    ] = _DEFAULTS.hops,
    warm_start_share: Annotated[
        float, typer.Option(help="Share of the names for the warm start.")
    ] = _DEFAULTS.warm_start_share,
    train_share: Annotated[
        float, typer.Option(help="Share of the names for training; the test has the rest.")
    ] = _DEFAULTS.train_share,
    warm_start_questions: Annotated[
        int, typer.Option(help="Questions for the warm start.")
    ] = _DEFAULTS.warm_start_questions,
    train_questions: Annotated[int, typer.Option(help="Questions for training.")] = _DEFAULTS.train_questions,
    test_questions: Annotated[int, typer.Option(help="Questions for the test.")] = _DEFAULTS.test_questions,
    distractors: Annotated[
        float, typer.Option(help="Share of facts with a misleading passage beside them.")
    ] = _DEFAULTS.distractors,
    searches_per_attempt: Annotated[
        int, typer.Option(help="Searches in an attempt this world is meant for; recorded in world.json.")
    ] = _DEFAULTS.searches_per_attempt,
) -> None:
    """Generates a synthetic closed world: corpus, warm-start, training and test questions."""
    parameters = WorldParameters(
        first_names=first_names,
        last_names=last_names,
        occupations=occupations,
        towns=towns,
        employers=employers,
        names=names,
        max_namesakes=max_namesakes,
        hops=hops,
        warm_start_share=warm_start_share,
        train_share=train_share,
        warm_start_questions=warm_start_questions,
        train_questions=train_questions,
        test_questions=test_questions,
        distractors=distractors,
        searches_per_attempt=searches_per_attempt,
    )
    console = Console()
    with console.status("Making the world"):
        made = make_world(parameters, seed)
        write_world(made, out)
    table = Table("what", "count", title=f"World in {out}")
    for name, count in made.counts.items():
        table.add_row(name.replace("_", " "), f"{count:,}")
    console.print(table)
