"""Which policy a name stands for, and the scripted one."""

import asyncio
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from endpoint_server import PlayedEndpoint
from huggingface_hub.errors import LocalEntryNotFoundError

from mrsearch.episode import EpisodeConfig, MetaEpisode, run_meta_episode
from mrsearch.errors import UserError
from mrsearch.evaluation.policies import PolicySpec, open_policy, resolve
from mrsearch.evaluation.policies.seeds import turn_seed
from mrsearch.evaluation.policies.vllm_policy import _cause
from mrsearch.models import find_model

SCRIPT = PolicySpec(model="scripted:title")


class Finds:
    """Finds passages of these titles for everything, and keeps the queries."""

    def __init__(self, *titles: str) -> None:
        self._titles = titles
        self.queries: list[str] = []

    async def search(self, queries: Sequence[str], topk: int) -> list[list[Any]]:
        self.queries += queries
        return [[SimpleNamespace(id=title, title=title, text="Is (one) of them.", score=1.0) for title in self._titles]]


def walk(question: str, searcher: Finds, spec: PolicySpec = SCRIPT, **config: Any) -> MetaEpisode:
    async def run() -> MetaEpisode:
        async with open_policy(spec) as opened:
            return await run_meta_episode(
                question, opened.policy(0), searcher, opened.chat, EpisodeConfig(**{"attempts": 2, **config})
            )

    return asyncio.run(run())


@pytest.mark.parametrize("prompts", ["base", "instruct", "brief"])
@pytest.mark.parametrize("reflection", ["implicit", "explicit"])
def test_the_script_searches_the_question_and_answers_with_the_best_title(prompts: str, reflection: str) -> None:
    searcher = Finds("Titanic (1997 film)", "Titanic")
    episode = walk("Which film is it? Question: which?", searcher, prompts=prompts, reflection=reflection)
    assert searcher.queries == ["Which film is it? Question: which?"] * 2
    assert episode.answers == ["Titanic (1997 film)"] * 2
    assert [attempt.invalid_turns for attempt in episode.attempts] == [0, 0]


def test_the_script_answers_from_passages_that_stand_in_the_prompt() -> None:
    searcher = Finds("Rome", "Question: Oslo")
    assert walk("Where?", searcher, attempts=1, prompts="rag", max_searches=0).answers == ["Rome"]
    assert searcher.queries == ["Where?"]


def test_the_script_answers_nothing_where_nothing_is_found() -> None:
    assert walk("Where?", Finds()).answers == ["", ""]


def test_the_script_says_what_it_says_aloud() -> None:
    heard: list[str] = []

    async def run() -> None:
        async with open_policy(SCRIPT, heard.append) as opened:
            await run_meta_episode("Where?", opened.policy(0), Finds("Rome"), opened.chat, EpisodeConfig(attempts=1))
            assert not opened.token_exact

    asyncio.run(run())
    assert heard == ["<search> Where? </search>", "<answer> Rome </answer>"]


def test_an_unknown_script_is_refused() -> None:
    with pytest.raises(UserError, match="There is no scripted policy 'tilte'; give scripted:title"):
        walk("Where?", Finds(), replace(SCRIPT, model="scripted:tilte"))


@pytest.mark.parametrize("name", ["nowhere", "a/b/c/d", "org/na me"])
def test_a_name_of_nothing_is_refused_with_what_would_be_accepted(name: str) -> None:
    with pytest.raises(UserError, match=r"no model '.*'; give a Hugging Face folder, the run folder .* scripted:title"):
        resolve(PolicySpec(model=name))


def test_a_script_and_a_named_model_of_an_endpoint_stand_for_themselves() -> None:
    for spec in (PolicySpec(model="scripted:anything"), PolicySpec(model="http://127.0.0.1:9", model_name="tiny")):
        assert resolve(spec) is spec


def test_an_endpoint_stands_for_the_model_that_it_serves() -> None:
    async def run() -> PolicySpec:
        async with PlayedEndpoint() as server:
            return await asyncio.to_thread(resolve, PolicySpec(model=server.url))

    assert asyncio.run(run()).model_name == "tiny"


def test_a_run_folder_stands_for_its_newest_checkpoint(quickstart_model: Path, tmp_path: Path) -> None:
    checkpoints = tmp_path / "run" / "checkpoints"
    shutil.copytree(quickstart_model, checkpoints / "global_step_20" / "actor" / "huggingface")
    with pytest.raises(UserError, match="holds no checkpoint"):
        find_model(str(tmp_path / "run"))
    (checkpoints / "latest_checkpointed_iteration.txt").write_text("20")
    newest = checkpoints / "global_step_20" / "actor" / "huggingface"
    assert find_model(str(tmp_path / "run")) == newest
    assert resolve(PolicySpec(model=str(tmp_path / "run"))).model == str(newest)


def hub(monkeypatch: pytest.MonkeyPatch, *, cached: Path | None, online: Path | None) -> list[bool]:
    """Puts a hub in the place of the real one; the value says of each request whether the cache alone was asked."""
    asked: list[bool] = []

    def snapshot_download(name: str, *, allow_patterns: list[str], local_files_only: bool = False) -> str:
        asked.append(local_files_only)
        found = cached if local_files_only else online
        if found is None:
            raise LocalEntryNotFoundError("cannot reach the hub\nand nothing is cached")
        return str(found)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return asked


def test_a_hub_name_is_taken_from_the_cache_first(monkeypatch: pytest.MonkeyPatch, quickstart_model: Path) -> None:
    asked = hub(monkeypatch, cached=quickstart_model, online=None)
    assert find_model("org/tiny") == quickstart_model
    assert asked == [True]


def test_what_the_cache_has_in_part_is_downloaded(
    monkeypatch: pytest.MonkeyPatch, quickstart_model: Path, tmp_path: Path
) -> None:
    asked = hub(monkeypatch, cached=tmp_path, online=quickstart_model)
    assert find_model("org/tiny") == quickstart_model
    assert asked == [True, False]


def test_a_hub_that_is_out_of_reach_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    hub(monkeypatch, cached=None, online=None)
    with pytest.raises(
        UserError, match=r"no model folder 'org/tiny', and .* \(cannot reach the hub and nothing is cached\)"
    ):
        find_model("org/tiny")


def test_weights_that_are_cut_or_missing_are_named(quickstart_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(quickstart_model, folder)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "model-2.safetensors"}}))
    with pytest.raises(UserError, match=r"lacks model-2\.safetensors"):
        find_model(str(folder))
    (folder / "model.safetensors.index.json").unlink()
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"model\.safetensors is no whole file of weights"):
        find_model(str(folder))


def test_every_turn_of_every_meta_episode_has_a_seed_of_its_own() -> None:
    seeds = {turn_seed(seed, turn) for seed in range(100) for turn in range(20)}
    assert len(seeds) == 2000
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_an_engine_that_dies_alone_points_to_the_log() -> None:
    assert _cause(RuntimeError("Engine core initialization failed. See root cause above.")).endswith("says why.")
    assert _cause(ValueError("max_model_len\nis too large")) == "max_model_len is too large."
