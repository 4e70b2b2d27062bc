"""What the page is told over HTTP."""

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from viewed_runs import GAMMA, MEMBERS, SCRIPT, make_evaluation, make_training, record

from mrsearch.credit import turn_rloo
from mrsearch.errors import UserError
from mrsearch.runs import RunFolder, append_json_line
from mrsearch.viewer import ViewedRun, make_app


def client(run: RunFolder) -> TestClient:
    viewed = ViewedRun(run.path)
    viewed.index.refresh()
    return TestClient(make_app(viewed), base_url="http://127.0.0.1")


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    return client(make_training(tmp_path_factory.mktemp("training"), steps=5))


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    return client(make_evaluation(tmp_path_factory.mktemp("evaluation"), episodes=240))


def get(on: TestClient, path: str) -> Any:
    response = on.get(f"/api/{path}")
    assert response.status_code == 200, response.text
    return response.json()


def test_the_run_says_what_there_is_to_choose_from(training: TestClient, evaluation: TestClient) -> None:
    run = get(training, "run")
    assert run["training"] and run["attempts"] == 3 and run["sources"] == ["nq"]
    assert run["files"] == [{"split": "train", "step": step, "n": 4} for step in range(1, 6)]
    run = get(evaluation, "run")
    assert not run["training"] and run["settings"]["mode"] == "mr-search" and len(run["sources"]) == 8


def test_a_run_that_grows_grows_in_the_page_when_it_is_loaded_again(tmp_path: Path) -> None:
    run = make_training(tmp_path, steps=1)
    on = client(run)
    assert get(on, "episodes")["total"] == 4
    append_json_line(run.episodes("train", 2), {"group": "new", "member": 0} | record(MEMBERS[0]))
    get(on, "run")
    assert get(on, "episodes")["total"] == 5


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("source=nq", lambda row: row["source"] == "nq"),
        ("split=test&step=0", lambda row: True),
        ("step=1", lambda row: False),
        ("solved=1", lambda row: row["right"][0] and not row["failed"]),
        ("solved=3", lambda row: row["right"][2] and not row["failed"]),
        ("solved=any", lambda row: any(row["right"]) and not row["failed"]),
        ("solved=never", lambda row: not any(row["right"]) and not row["failed"]),
        ("change=improved", lambda row: row["right"] in ([False, True, True], [False, False, True])),
        ("change=harmed", lambda row: row["right"] == [True, True, False]),
        ("stop=search_failed", lambda row: row["failed"]),
        ("stop=context_overflow", lambda row: False),
        ("q=TIBER (17)", lambda row: "(17)" in row["question"]),
        ("q=q17", lambda row: row["question_id"] == "q17"),
        ("q=100%25", lambda row: False),
        ("source=nq&change=harmed", lambda row: row["source"] == "nq" and row["right"] == [True, True, False]),
    ],
)
def test_filters_keep_what_they_say(evaluation: TestClient, query: str, wanted: Any) -> None:
    everything = [row for page in (1, 2) for row in get(evaluation, f"episodes?size=200&page={page}")["rows"]]
    assert len(everything) == 240
    found = get(evaluation, f"episodes?size=200&{query}")
    expected = [row for row in everything if wanted(row)]
    assert found == {"total": len(expected), "rows": expected[:200]}


@pytest.mark.parametrize("column", ["source", "question", "solved", "reward", "searches", "tokens"])
def test_columns_sort_up_and_down(evaluation: TestClient, column: str) -> None:
    name = {"solved": "right"}.get(column, column)
    place = (lambda row: row[name][::-1]) if column == "solved" else (lambda row: row[name])
    up = [place(row) for row in get(evaluation, f"episodes?sort={column}&size=200")["rows"]]
    down = [place(row) for row in get(evaluation, f"episodes?sort={column}&descending=true&size=200")["rows"]]
    assert up == sorted(up) and down == sorted(down, reverse=True) and up != down


def test_pages_are_the_whole_cut_in_pieces(evaluation: TestClient) -> None:
    whole = get(evaluation, "episodes?size=200")["rows"]
    pages = [get(evaluation, f"episodes?size=50&page={page}")["rows"] for page in (1, 2, 3, 4, 5, 6)]
    assert [len(page) for page in pages] == [50, 50, 50, 50, 40, 0]
    assert [row for page in pages for row in page][:200] == whole


@pytest.mark.parametrize("query", ["solved=maybe", "solved=0", "stop=tired", "page=0", "size=5000", "nonsense=1"])
def test_a_filter_that_means_nothing_is_refused(evaluation: TestClient, query: str) -> None:
    assert evaluation.get(f"/api/episodes?{query}").status_code == 422


def test_the_place_of_a_meta_episode_names_its_neighbours_in_the_filtered_order(evaluation: TestClient) -> None:
    query = "change=harmed&sort=tokens&descending=true"
    keys = [row["key"] for row in get(evaluation, f"episodes?size=200&{query}")["rows"]]
    for number, key in enumerate(keys):
        assert get(evaluation, f"episodes/{key}/place?{query}") == {
            "key": key,
            "number": number + 1,
            "total": len(keys),
            "previous": keys[number - 1] if number else None,
            "next": keys[number + 1] if number + 1 < len(keys) else None,
        }
    assert get(evaluation, f"episodes/{keys[0]}/place?change=improved") == {}


def test_a_meta_episode_comes_with_its_group_and_the_advantages_of_training(training: TestClient) -> None:
    key = get(training, "episodes?step=3")["rows"][0]["key"]
    shown = get(training, f"episodes/{key}")
    assert [attempt["answer"] for attempt in shown["record"]["attempts"]] == list(MEMBERS[0])
    assert shown["summary"]["key"] == key
    assert [peer["sample"] for peer in shown["peers"]] == [0, 1, 2, 3]
    rewards = [peer["rewards"] for peer in shown["peers"]]
    expected = turn_rloo(rewards, ["a"] * 4, [True, True, True, False], gamma=GAMMA)
    assert [peer["advantages"] for peer in shown["peers"]] == expected.tolist()


def test_an_evaluation_has_no_advantages_and_its_samples_stand_together(tmp_path: Path) -> None:
    run = make_evaluation(tmp_path, episodes=1)
    first = json.loads(run.episodes("test", 0).read_text())
    append_json_line(run.episodes("test", 0), first | {"sample": 1})
    on = client(run)
    shown = get(on, f"episodes/{get(on, 'episodes')['rows'][0]['key']}")
    assert [peer["sample"] for peer in shown["peers"]] == [0, 1]
    assert not any("advantages" in peer for peer in shown["peers"])


def test_the_tokens_of_a_training_are_decoded_with_its_models_tokeniser(training: TestClient) -> None:
    key = get(training, "episodes")["rows"][0]["key"]
    segments = get(training, f"episodes/{key}/tokens")["segments"]
    assert "".join(segments[1]["texts"]).startswith("<think>Attempt 1: é, 🦊, 城.")
    assert len(segments[1]["texts"]) == len(segments[1]["ids"]) == len(segments[1]["logprobs"])


def test_without_a_tokeniser_there_are_no_tokens(tmp_path: Path) -> None:
    on = client(make_evaluation(tmp_path, episodes=1, tokenizer=False))
    assert get(on, f"episodes/{get(on, 'episodes')['rows'][0]['key']}/tokens") == {"segments": None}


def test_a_key_that_leads_nowhere_is_said_to(training: TestClient) -> None:
    for path in ("episodes/0123", "episodes/0123/tokens"):
        response = training.get(f"/api/{path}")
        assert response.status_code == 404 and "no such meta-episode" in response.json()["detail"]


def test_curves_choose_the_telling_metrics_and_add_those_asked_for(training: TestClient) -> None:
    curves = get(training, "figures?metric=training/other&metric=unknown")
    assert curves["steps"] == [1, 2, 3, 4, 5]
    panels = {panel["title"]: panel["series"] for panel in curves["panels"]}
    assert list(panels["Reward by attempt"]) == [f"attempt_{n}/reward" for n in (1, 2, 3)] + ["attempts/any_reward"]
    assert panels["Validation: exact match by attempt"]["val/nq/exact_match/attempt_1"][:4] == [None] * 4
    assert panels["training/other"] == {"training/other": [1, 2, 3, 4, 5]}
    assert "unknown" not in panels and "actor/entropy" in curves["names"]


def test_a_training_without_a_step_yet_has_no_curves(tmp_path: Path) -> None:
    on = client(make_training(tmp_path, steps=0))
    assert get(on, "figures") == {"steps": [], "panels": [], "names": []}
    assert get(on, "run")["attempts"] == 0 and get(on, "episodes") == {"total": 0, "rows": []}


def test_accuracy_counts_every_question_the_same_and_leaves_failed_searches_out(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    (tmp_path / "evaluation.json").write_text("{}")
    asked = [("a", 0, MEMBERS[0], False), ("a", 1, MEMBERS[1], False), ("b", 0, MEMBERS[2], False)]
    for question, sample, answers, fails in [*asked, ("c", 0, MEMBERS[0], True)]:
        own = {"sample": sample}
        append_json_line(run.episodes("test", 0), record(answers, question_id=question, fails=fails) | own)
    report = {"benchmarks": {"nq": {"n": 3, "exact_match_ci": [[0, 1]] * 3, "any_ci": [0.1, 0.9]}}}
    run.report.write_text(json.dumps(report))
    figures = get(client(run), "figures")
    assert figures == {
        "macro": None,
        "benchmarks": [
            {
                "source": "nq",
                "n": 3,
                "failed": 1,
                "exact_match": [0.5, 0.75, 0.25],
                "any": 0.75,
                "improved": 0.25,
                "harmed": 0.5,
                "exact_match_ci": [[0, 1]] * 3,
                "any_ci": [0.1, 0.9],
            }
        ],
    }


def test_the_macro_average_counts_every_benchmark_the_same(evaluation: TestClient) -> None:
    figures = get(evaluation, "figures")
    rows = figures["benchmarks"]
    assert len(rows) == 8
    assert figures["macro"]["exact_match"][2] == pytest.approx(sum(row["exact_match"][2] for row in rows) / 8)


def test_intervals_of_a_report_of_fewer_meta_episodes_are_left_out(tmp_path: Path) -> None:
    run = make_evaluation(tmp_path, episodes=8)
    run.report.write_text(json.dumps({"benchmarks": {"nq": {"n": 17, "exact_match_ci": [], "any_ci": []}}}))
    assert not any("any_ci" in row for row in get(client(run), "figures")["benchmarks"])


def test_every_answer_forbids_code_that_is_not_the_pages_own(training: TestClient) -> None:
    for path in ("/", "/app.js", "/api/run", "/api/episodes/0123"):
        header = training.get(path).headers["content-security-policy"]
        policy = {name: sources for name, *sources in map(str.split, header.split(";"))}
        assert {source for sources in policy.values() for source in sources} == {"'none'", "'self'"}, "no other place"
        # The last three do not fall back to the first.
        for name in ("default-src", "base-uri", "form-action", "frame-ancestors"):
            assert policy[name] == ["'none'"], name


def test_the_page_asks_for_nothing_from_elsewhere_and_makes_no_html_of_data() -> None:
    static = Path(make_app.__code__.co_filename).parent / "static"
    for file in static.iterdir():
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text, file.name
        for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "srcdoc"):
            assert way not in text, f"{way} in {file.name}"


def test_records_that_hold_markup_are_json_and_no_page(training: TestClient) -> None:
    key = get(training, "episodes")["rows"][0]["key"]
    response = training.get(f"/api/episodes/{key}")
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-content-type-options"] == "nosniff"
    passages = response.json()["record"]["attempts"][0]["turns"][0]["passages"]
    assert SCRIPT in passages[0]["text"]


def test_another_hosts_name_is_refused(training: TestClient) -> None:
    assert training.get("/api/run", headers={"host": "elsewhere.example"}).status_code == 400


@pytest.mark.parametrize("content", [None, "mrsearch: [", "- a list"])
def test_a_folder_that_is_no_runs_is_refused_in_a_sentence(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(UserError, match=r"is not a run folder|cannot be read|holds no settings"):
        ViewedRun(tmp_path)
