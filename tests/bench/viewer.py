"""How fast the viewer shows a large evaluation, as the browser measures it: prints JSON.

    PYTHONPATH=tests/viewer python tests/bench/viewer.py [--episodes 50000] [--repeats 20] [--chromium FILE]

Makes a run folder of that many meta-episodes (about 180 KB each: three attempts, long thinking and passages, every
token with its log-probability), starts `mrsearch view` as a user does, and drives Chromium:

- `index`: seconds until the page can be opened, the first time (all records are read) and the next.
- `first view`: milliseconds from navigation until a view is painted, in a new browser context each time: the curves,
  the table, and a meta-episode by its link.
- `table` and `episode`: milliseconds from the call, in a page that is open, until it is painted: a filter chosen, a
  page turned, `j` pressed; `tokens` of an opened meta-episode.
"""

import argparse
import json
import platform
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright
from viewed_runs import make_evaluation

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


@contextmanager
def served(run: Path) -> Iterator[tuple[str, float]]:
    """The page's address, and how long it took to be there."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "mrsearch", "view", str(run), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = next(match[0] for line in server.stdout if (match := re.search(r"http://\S+", line)))
            yield address, time.perf_counter() - start
        finally:
            server.terminate()


def measured(page: Page, place: str) -> float:
    """Milliseconds until the place in the page, to which something leads just now, is painted."""
    page.wait_for_selector(f'main[data-painted="{place}"]')
    return float(page.evaluate("performance.getEntriesByType('measure').at(-1).duration"))


def first_views(browser: Browser, address: str, places: Sequence[str]) -> list[float]:
    times = []
    for place in places:
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        page = context.new_page()
        page.goto(address + place)
        times.append(measured(page, place))
        context.close()
    return times


def later_views(page: Page, places: Sequence[str]) -> list[float]:
    times = []
    for place in places:
        page.evaluate("place => { location.hash = place }", place)
        times.append(measured(page, place))
    return times


def keys_of(page: Page, number: int, episodes: int) -> list[str]:
    """Keys of meta-episodes from all over the run."""
    rng = random.Random(0)
    fetch = "number => fetch(`api/episodes?size=1&page=${number}`).then((answer) => answer.json())"
    return [page.evaluate(fetch, rng.randint(1, episodes))["rows"][0]["key"] for _ in range(number)]


def spread(times: Sequence[float]) -> dict[str, float]:
    return {
        "n": len(times),
        "median": round(statistics.median(times), 1),
        "least": round(min(times), 1),
        "most": round(max(times), 1),
    }


def _open(browser: Browser, address: str) -> Page:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(f"{address}#/curves")
    measured(page, "#/curves")
    return page


def measure(browser: Browser, address: str, episodes: int, repeats: int) -> dict[str, dict[str, float]]:
    page = _open(browser, address)
    keys = keys_of(page, repeats, episodes)
    page.close()
    links = [f"#/episode/{key}" for key in keys]
    words = [f"#/episodes?q={number}&sort=tokens&descending=true" for number in range(repeats)]
    last = max(1, episodes // 50)
    pages = [f"#/episodes?page={last - number}" for number in range(min(repeats, last - 1))]
    first = {
        "first view: curves": spread(first_views(browser, address, ["#/curves"] * repeats)),
        "first view: table": spread(first_views(browser, address, ["#/episodes"] * repeats)),
        "first view: meta-episode": spread(first_views(browser, address, links)),
    }
    # A page that lay behind others meanwhile would be asleep.
    page = _open(browser, address)
    return first | {
        "meta-episode": spread(later_views(page, links)),
        "meta-episode with its tokens": spread(later_views(page, [f"{link}?view=tokens" for link in links])),
        "table: search and sort": spread(later_views(page, words)),
        "table: last pages": spread(later_views(page, pages)),
        "place among all": spread(
            [
                page.evaluate(
                    f"(async () => {{ const start = performance.now(); await (await fetch("
                    f"'api/episodes/{key}/place')).json(); return performance.now() - start; }})()"
                )
                for key in keys
            ]
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=50_000)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = make_evaluation(Path(folder), episodes=options.episodes, filler=6)
        size = run.episodes("test", 0).stat().st_size
        with served(run.path) as (_, first_start):
            pass
        with served(run.path) as (address, next_start), sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=options.chromium, args=ARGUMENTS)
            figures = {
                "what": "mrsearch view of an evaluation, milliseconds measured in the browser",
                "episodes": options.episodes,
                "gib": round(size / 2**30, 2),
                "kib_per_episode": round(size / 1024 / options.episodes, 1),
                "start_with_index_s": round(first_start, 1),
                "next_start_s": round(next_start, 1),
                "milliseconds": measure(browser, address, options.episodes, options.repeats),
                "versions": {"python": platform.python_version(), "chromium": browser.version},
            }
            browser.close()
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
