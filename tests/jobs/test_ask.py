"""`mrsearch ask` as a person sees it."""

import io
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from mrsearch.cli import main
from mrsearch.episode import Sampled
from mrsearch.errors import UserError
from mrsearch.evaluation.policies import PolicySpec
from mrsearch.evaluation.policies.text_chat import TextChat
from mrsearch.jobs import ask as ask_job
from mrsearch.jobs.ask import questions_and_settings
from mrsearch.jobs.ask_screen import AskScreen, TurnScreen, printable

RETRIEVER = "--retriever=http://127.0.0.1:9"


class Library:
    """Finds one passage for everything, or has lost its connection."""

    def __init__(self) -> None:
        self.title, self.up, self.closed = "Rome", True, False
        self.queries: list[str] = []

    async def search(self, queries: Sequence[str], topk: int) -> list[list[Any]]:
        self.queries += queries
        if not self.up:
            raise ConnectionError("gone")
        return [[SimpleNamespace(id="7", title=self.title, text="A city.", score=1.0)] for _ in queries]

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    made = Library()
    monkeypatch.setattr(ask_job, "open_searcher", lambda target: made)
    return made


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(library: Library, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs `mrsearch ask` over the library with a scripted policy: its status and what it printed."""

    def ask(*words: str, stdin: str = "", model: str = "scripted:title") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mrsearch", "ask", f"--model={model}", RETRIEVER, *words])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capfd.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return ask


def screen_text(show: Callable[[Console], None], **settings: Any) -> str:
    out = io.StringIO()
    show(Console(file=out, width=100, **settings))
    return out.getvalue()


def test_the_attempts_come_with_queries_sources_and_answers(run: Run, library: Library) -> None:
    status, out, err = run("Where is it?", "--attempts=2")
    assert (status, err) == (0, "")
    attempt = ["Search: Where is it?", "1. Rome [7]", "Answer: Rome"]
    expected = ["Question: Where is it?", "── Attempt 1 ──", *attempt, "── Attempt 2 ──", *attempt]
    assert [line.strip() for line in out.splitlines() if line.strip()][: len(expected)] == expected
    assert "\x1b" not in out, "without a terminal there is no colour"
    assert library.closed


def test_settings_may_follow_the_question(run: Run, library: Library) -> None:
    status, out, _ = run("Where is 1+1=2?", "mrsearch.episode.attempts=1", "mrsearch.episode.prompts=brief")
    assert status == 0
    assert library.queries == ["Where is 1+1=2?"]
    assert "Attempt 2" not in out


def test_the_record_is_all_that_json_prints(run: Run) -> None:
    status, out, _ = run("Where is it?", "--attempts=2", "--json")
    record = json.loads(out)
    assert status == 0
    assert [attempt["answer"] for attempt in record["attempts"]] == ["Rome", "Rome"]
    assert "golden_answers" not in record and "rewards" not in record


def test_further_questions_are_read_until_the_input_ends(run: Run, library: Library) -> None:
    status, out, _ = run("First?", "--interactive", "--attempts=1", stdin="Second?\n\n  Third?  \n")
    assert status == 0
    assert library.queries == ["First?", "Second?", "Third?"]
    assert out.count("── Attempt 1 ──") == 3


def test_a_lost_search_is_shown_and_ends_in_status_1(run: Run, library: Library) -> None:
    library.up = False
    status, out, _ = run("Where?", "--attempts=2")
    assert status == 1
    assert "none (search failed: ConnectionError: gone)" in out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "There is no question; give one in quotation marks, or --interactive"),
        (["  "], "There is no question"),
        (["Where", "is", "it?"], "'is' stands behind the question; put the whole question in quotation marks."),
        (["Where?", "mrsearch.episode.attemps=1"], "did you mean 'mrsearch.episode.attempts'"),
        (["Where?", "--attempts=0"], "attempts is 0"),
    ],
)
def test_what_cannot_be_asked_is_refused(run: Run, words: list[str], sentence: str) -> None:
    status, out, err = run(*words)
    assert (status, out) == (1, "")
    assert sentence in err and "\n" not in err.strip()


def test_an_unknown_model_is_refused(run: Run) -> None:
    status, _, err = run("Where?", model="nowhere")
    assert status == 1
    assert "There is no model 'nowhere'" in err


def test_neither_model_nor_documents_steer_the_terminal(
    run: Run, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = "\x1b]0;owned\x07\x1b[31m[bold]\x9b2J\u202e"

    @asynccontextmanager
    async def open_evil(spec: PolicySpec, on_text: Callable[[str], None]) -> AsyncIterator[Any]:
        chat = TextChat()
        turns = iter([f"{evil}<search> {evil} </search>", f"<answer> {evil} </answer>"])

        async def sample(prompt_ids: Sequence[int], *, max_tokens: int, stop: Sequence[str]) -> Sampled:
            text = next(turns)
            on_text(text)
            return Sampled(chat.encode_turn(text, max_tokens), None)

        yield SimpleNamespace(chat=chat, policy=lambda seed, temperature: SimpleNamespace(sample=sample))

    monkeypatch.setattr(ask_job, "open_policy", open_evil)
    library.title = evil
    status, out, _ = run(f"Where {evil}?", "--attempts=1")
    assert status == 0
    assert out.count("[bold]") == 6, "question, thinking, query, source, answer, and the answer in the table"
    assert not any(character in out for character in "\x1b\x07\x9b\u202e")


def test_tags_that_come_in_pieces_become_words() -> None:
    def show(console: Console) -> None:
        turn = TurnScreen(console)
        for piece in ["<thi", "nk>a < b", "</think>\n<", "search> who", " </sear", "ch>", " <", "b"]:
            turn.feed(piece)
        turn.end()

    assert screen_text(show) == "a < b\nSearch: who \n<b\n"


def test_a_turn_that_was_cut_does_not_colour_the_next() -> None:
    def show(console: Console) -> None:
        screen = AskScreen(console)
        screen.turn.feed("<answer> Ro")
        screen.attempt(2)
        screen.turn.feed("hm")
        screen.turn.end()

    text = screen_text(show, force_terminal=True, color_system="standard")
    assert text.endswith("\x1b[2mhm\x1b[0m\n")


def test_a_halved_pair_and_tabs_can_be_printed() -> None:
    assert printable("a\tb\n\ud83d\x00") == "a\tb\n\ufffd␀"


def test_a_first_word_with_a_space_before_its_sign_is_a_question() -> None:
    questions, settings = questions_and_settings(["is a = b?", "a.b=c d"], Console(), interactive=False)
    assert (list(questions), settings) == (["is a = b?"], ["a.b=c d"])
    questions, settings = questions_and_settings(["E=mc2 was written by whom?"], Console(), interactive=False)
    assert (list(questions), settings) == (["E=mc2 was written by whom?"], [])
    with pytest.raises(UserError):
        questions_and_settings(["a.b=c"], Console(), interactive=False)


@pytest.mark.timeout(120)
def _interrupted(process: subprocess.Popen[bytes]) -> int:
    """Ctrl-C, and again where the first fell between the prompt and the reading of the answer."""
    while True:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            return process.wait(10)


def test_ctrl_c_at_the_prompt_ends_at_once_without_a_traceback(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "mrsearch", "ask", "--model=scripted:title", RETRIEVER, "--interactive"]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=tmp_path)
    os.close(theirs)
    shown = b""
    while b"Question (Ctrl-D ends): " not in shown:
        shown += os.read(ours, 4096)
    assert _interrupted(process) == 130
    os.set_blocking(ours, False)
    with suppress(OSError):  # the other end is closed, and perhaps nothing was left
        shown += os.read(ours, 65536)
    assert b"Traceback" not in shown
    os.close(ours)
