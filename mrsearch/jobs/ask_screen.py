"""How `mrsearch ask` shows a meta-episode while it happens: words first, colour on top."""

import re
import unicodedata
from collections.abc import Sequence

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from mrsearch.episode import Attempt, MetaEpisode, Passage

_TAG = re.compile(r"<(/?)(think|search|tool_call|answer|reflection)>")
_TAG_BEGUN = re.compile(r"</?[a-z_]*$")

_LABELS = {"search": "Search:", "tool_call": "Tool call:", "answer": "Answer:", "reflection": "Reflection:"}
_STYLES = {"think": "dim", "search": "cyan", "tool_call": "cyan", "answer": "bold green", "reflection": "magenta"}

# Characters that turn the direction of what stands around them.
_TURNING = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def printable(text: str) -> str:
    """Text that cannot steer a terminal: control characters become visible ones, line ends and tabs are kept.

    >>> printable("a\\x1b[31mb")
    'a␛[31mb'
    """
    return "".join(map(_printable, text))


def _printable(character: str) -> str:
    if character in "\n\t":
        return character
    if ord(character) < 0x20:
        return chr(0x2400 + ord(character))
    hidden = character in _TURNING or unicodedata.category(character) in ("Cc", "Cs")
    return "\ufffd" if hidden else character


class TurnScreen:
    """Shows the policy's text as it comes, with words in the place of its tags.

    Tags may come in pieces: what could be the beginning of one waits for the rest.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._waiting, self._style, self._at_start = "", "dim", True

    def feed(self, piece: str) -> None:
        """Shows a further piece of the text."""
        *parts, self._waiting = self._parts(self._waiting + piece)
        for part in parts:
            self._show(part)

    def end(self) -> None:
        """Ends the turn: shows what waits, on a line that is then ended."""
        self._write(self._waiting)
        self._new_line()
        self._waiting, self._style = "", "dim"

    def _parts(self, text: str) -> list[str]:
        """Stretches of text and whole tags by turns, and last what has to wait."""
        begun = _TAG_BEGUN.search(text)
        ready, waiting = (text[: begun.start()], begun[0]) if begun else (text, "")
        return [*re.split(f"({_TAG.pattern.replace('(', '(?:')})", ready), waiting]

    def _show(self, part: str) -> None:
        tag = _TAG.fullmatch(part)
        if not tag:
            self._write(part)
        elif tag[1]:
            self._style = "dim"
            self._new_line()
        else:
            self._style = _STYLES[tag[2]]
            if tag[2] in _LABELS:
                self._new_line()
                self._write(_LABELS[tag[2]])

    def _write(self, text: str) -> None:
        shown = text.lstrip() if self._at_start else text
        if shown:
            self._console.print(Text(printable(shown), self._style), end="", soft_wrap=True)
            self._at_start = shown.endswith("\n")

    def _new_line(self) -> None:
        if not self._at_start:
            self._console.print()
        self._at_start = True


class AskScreen:
    """Shows questions, attempts, sources and answers.

    Attributes:
        turn: takes the policy's text.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self.turn = TurnScreen(console)

    def waiting(self, what: str) -> Live:
        """Shows on a terminal, for the time of the context, that something takes its time."""
        # What libraries write is not the console's business: it has a file of its own.
        spinner = Spinner("dots", Text(what))
        return Live(spinner, console=self._console, transient=True, redirect_stdout=False, redirect_stderr=False)

    def question(self, question: str) -> None:
        self._console.print(Text.assemble("\n", ("Question: ", "bold"), printable(question)), soft_wrap=True)

    def attempt(self, number: int) -> None:
        """Opens an attempt, numbered from 1."""
        self.turn.end()
        self._console.print(Text(f"\n── Attempt {number} ──", "bold"))

    def sources(self, passages: Sequence[Passage]) -> None:
        """Titles and ids, best first."""
        self.turn.end()
        for rank, passage in enumerate(passages, start=1):
            line = Text.assemble(f"  {rank}. {printable(passage.title)} ", (f"[{printable(passage.id)}]", "dim"))
            self._console.print(line, soft_wrap=True)
        if not passages:
            self._console.print(Text("  Nothing was found.", "dim"))

    def summary(self, episode: MetaEpisode) -> None:
        """The answers of all attempts, or why there is none."""
        self.turn.end()
        table = Table("attempt", "answer", "searches", "tokens", "seconds")
        for attempt in episode.attempts:
            seconds = attempt.model_seconds + attempt.search_seconds
            row = (str(attempt.number), _outcome(attempt), str(len(attempt.queries)), str(attempt.tokens))
            table.add_row(*map(Text, (*row, f"{seconds:.1f}")))
        self._console.print(Text(), table)


def _outcome(attempt: Attempt) -> str:
    if attempt.answer is not None:
        return printable(attempt.answer)
    failure = next((f": {printable(turn.error)}" for turn in attempt.turns if turn.error), "")
    return f"none ({attempt.stop_reason.replace('_', ' ')}{failure})"
