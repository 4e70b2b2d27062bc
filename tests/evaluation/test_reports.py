"""Tables in the terminal, and the report of a run folder."""

import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from made_records import record
from rich.console import Console

from mrsearch.evaluation.metrics import read_rows
from mrsearch.evaluation.reports import benchmarks_table, table, write_report
from mrsearch.evaluation.reports.charts import Chart, Point
from mrsearch.runs import RunFolder

RIGHT, WRONG = "gold", "lead"
SETTINGS = {"model": "models/<script>alert(1)</script>|x", "episode": {"attempts": 2, "prompts": "base"}}
SECTIONS = [
    "Exact match by attempt",
    "Accuracy against cost",
    "Improvement and harm between attempts",
    "F1 and substring match",
    "Retrieval recall",
    "How attempts end",
    "Searches, tokens and time",
    "Oracle stop (uses the gold answers)",
    "Published figures",
    "Settings",
]


def records() -> list[dict[str, Any]]:
    return [
        record(
            [WRONG, RIGHT if n % 4 else WRONG], question=str(n), source=source, gold_titles=gold, titles=[["A"], ["B"]]
        )
        for n in range(40)
        for source, gold in (("nq", None), ("<b>own</b>|set", ["A", "B"]))
    ]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


class Page(HTMLParser):
    """Collects what a browser would see: elements with their attributes, and text by element."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta",):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open:
            self.text.setdefault(self._open[-1], []).append(data)


def test_the_json_holds_benchmarks_macro_and_settings(run: RunFolder) -> None:
    report = write_report(run, SETTINGS, read_rows(records()))
    assert json.loads(run.report.read_text()) == report
    assert set(report) == {"benchmarks", "macro", "settings"}
    assert report["benchmarks"]["nq"]["exact_match"] == [0.0, 0.75]
    assert report["macro"]["exact_match"] == [0.0, 0.75]
    assert (report["benchmarks"]["nq"]["n"], report["settings"]) == (40, SETTINGS)


def test_the_page_is_whole_and_needs_nothing_from_outside(run: RunFolder) -> None:
    write_report(run, SETTINGS, read_rows(records()))
    page = (run.path / "report.html").read_text()
    seen = Page(page)
    assert seen.text["h2"] == SECTIONS
    assert not re.search(r"(src|href|url\(|@import|https?:)", page), "no asset lies elsewhere"
    charts = [attributes for tag, attributes in seen.elements if tag == "svg"]
    assert len(charts) == 3 * 3, "by attempt, tokens and searches, for two benchmarks and their average"
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in seen.elements
    assert "prefers-color-scheme: dark" in page


def test_what_data_and_settings_say_is_text_and_no_markup(run: RunFolder) -> None:
    write_report(run, SETTINGS, read_rows(records()))
    seen = Page((run.path / "report.html").read_text())
    assert not {"script", "b"} & {tag for tag, _ in seen.elements}
    assert "<b>own</b>|set" in seen.text["td"]
    markdown = (run.path / "report.md").read_text()
    assert "<script>" not in markdown and "&lt;b&gt;own&lt;/b&gt;\\|set" in markdown


def test_the_markdown_tables_are_whole(run: RunFolder) -> None:
    write_report(run, SETTINGS, read_rows(records()))
    markdown = (run.path / "report.md").read_text()
    assert "| nq | 0.0 (0.0–0.0) | 75.0 " in markdown
    assert "| MR-Search |" in markdown and "46.0" in markdown
    tables = [block.splitlines() for block in markdown.split("\n\n") if block.startswith("|")]
    for rows in tables:
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1, rows[0]


def test_several_samples_show_the_majority_vote(run: RunFolder) -> None:
    rows = [record([RIGHT if k else WRONG], question=str(n), sample=k) for n in range(5) for k in range(3)]
    report = write_report(run, {}, read_rows(rows))
    markdown = (run.path / "report.md").read_text()
    assert "| nq | 3.0 | 66.7 (66.7–66.7) | 100.0 (100.0–100.0) | 100.0 (100.0–100.0) |" in markdown
    assert "Improvement and harm" not in markdown, "there is one attempt"
    assert "majority vote" in render(benchmarks_table(report))


@pytest.mark.parametrize("rows", [[], [record([None], stop="search_failed")]])
def test_a_report_of_nothing_says_so(run: RunFolder, rows: list[dict[str, Any]]) -> None:
    report = write_report(run, {}, read_rows(rows))
    assert report["macro"]["exact_match"] == []
    assert (run.path / "report.html").is_file()
    assert "0." not in render(benchmarks_table(report))


def test_a_benchmark_without_a_score_stands_in_no_mean_and_is_named(run: RunFolder) -> None:
    lost = record([None, None], source="popqa", stop="search_failed")
    report = write_report(run, {}, read_rows([*records(), lost]))
    assert report["macro"]["benchmarks"] == 2
    page = (run.path / "report.html").read_text()
    assert "Nothing could be scored of popqa" in page
    assert "failed a search of theirs: 1 meta-episodes" in page


def render(renderable: object) -> str:
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(renderable)
    return console.export_text()


def test_the_table_of_benchmarks_has_a_macro_average_if_there_are_several(run: RunFolder) -> None:
    report = write_report(run, {}, read_rows(records()))
    shown = render(benchmarks_table(report))
    assert "macro average" in shown and "0.75 (" in shown and "<b>own</b>|set" in shown
    alone = write_report(run, {}, read_rows(row for row in records() if row["source"] == "nq"))
    assert "macro" not in render(benchmarks_table(alone))


def test_the_table_of_named_summaries_shows_what_is_missing() -> None:
    figures = {"exact_match": [0.5], "exact_match_ci": [[0.4, 0.6]], "any": 0.5, "any_ci": [0.4, 0.6], "n": 10}
    nothing = {"exact_match": [], "exact_match_ci": [], "any": None, "any_ci": None, "n": 0}
    shown = render(table({"before": nothing, "after": figures}))
    assert re.search(r"before\W+–\W+–\W+0\b", shown)
    assert re.search(r"after\W+0\.50 \(0\.40–0\.60\)", shown)


def test_a_chart_places_its_points_to_scale() -> None:
    svg = Chart("<t>", "tokens", [Point(50, 20, 10, 30), Point(100, 40, 30, 50)], y_top=50).svg()
    assert "<title>&lt;t&gt;</title>" in svg
    (x1, y1), (x2, y2) = (
        map(float, pair.split(","))
        for pair in re.search(r'points="([^"]+)"', svg)[1].split()  # type: ignore[index]
    )
    left, bottom = 26, 132 - 30
    assert (x2 - left) == pytest.approx(2 * (x1 - left))
    assert (bottom - y2) == pytest.approx(2 * (bottom - y1), abs=0.11)
