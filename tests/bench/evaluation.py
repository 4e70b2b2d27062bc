"""How much of the engine an evaluation uses, and what a lock-step driver makes of the same load.

    python tests/bench/evaluation.py --corpus CORPUS.jsonl

One process, one vLLM engine with the quickstart's model, a BM25 index searched in the process, 64 meta-episodes at
once. Attempts differ in length as real ones do, by the same draws for all three drivers: after every turn one more
search follows with a chance of two thirds, up to eight, and turns have log-normal lengths (median 16 tokens, σ = 1, at
most 256). Three drivers, over the same questions:

- `engine`: the requests of the episodes alone, replayed with 64 at once: no searches, no episodes. The limit.
- `evaluation`: `walk_cases`, as `mrsearch eval` walks.
- `lock_step`: the usual driver of a trainer: all 64 meta-episodes of a batch wait for each other at every turn, and the
  next batch waits for the slowest of this one.

Prints JSON: seconds of each repeat, tokens, and the ratios of tokens per second within each repeat.
"""

import argparse
import asyncio
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from transformers import AutoTokenizer

from mrsearch.data.questions import Question
from mrsearch.episode import Chat, EpisodeConfig, Sampled, run_meta_episode
from mrsearch.evaluation.cases import Case, cases
from mrsearch.evaluation.evaluate import Evaluation, walk_cases
from mrsearch.evaluation.policies import PolicySpec
from mrsearch.evaluation.policies.vllm_policy import vllm_engine
from mrsearch.jobs.cluster import environment
from mrsearch.jobs.console import quiet
from retriever.clients import Searcher, open_searcher

MODEL = Path(__file__).parents[2] / "recipes" / "quickstart" / "model"
AT_ONCE = 64
EPISODE = EpisodeConfig(
    attempts=3, max_searches=8, topk=2, turn_tokens=256, observation_tokens=96, context_tokens=4096, prompts="brief"
)


@dataclass
class Request:
    prompt: list[int]
    tokens: int


class Engine:
    """Samples exactly so many tokens."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    async def forget(self) -> None:
        """Empties the prefix cache: a replay would find every prompt in it that the episodes have made."""
        assert await self._engine.reset_prefix_cache()

    async def sample(self, request: Request) -> list[int]:
        from vllm import SamplingParams
        from vllm.inputs import TokensPrompt
        from vllm.sampling_params import RequestOutputKind

        params = SamplingParams(
            temperature=1.0,
            max_tokens=request.tokens,
            min_tokens=request.tokens,
            ignore_eos=True,
            logprobs=0,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        prompt = TokensPrompt(prompt_token_ids=request.prompt)
        (result,) = [result async for result in self._engine.generate(prompt, params, uuid4().hex)]
        return list(result.outputs[0].token_ids)


@dataclass
class Drawn:
    """A policy whose turns have drawn lengths: what the engine samples, then a search or an answer."""

    engine: Engine
    chat: Chat
    seed: int
    log: list[Request]
    word: str = ""
    attempt: int = 0
    searches: int = 0

    async def sample(self, prompt_ids: Sequence[int], *, max_tokens: int, stop: Sequence[str]) -> Sampled:
        draw = random.Random(f"{self.seed} {self.attempt} {self.searches}")
        answers = draw.random() > 2 / 3 or self.searches == EPISODE.max_searches
        action = self.chat.encode("<answer> x </answer>" if answers else f"<search> {self.word} </search>")
        length = max(1, min(round(draw.lognormvariate(math.log(16), 1.0)), max_tokens - len(action)))
        self.attempt, self.searches = (self.attempt + 1, 0) if answers else (self.attempt, self.searches + 1)
        request = Request(list(prompt_ids), length)
        self.log.append(request)
        ids = [*await self.engine.sample(request), *action][:max_tokens]
        return Sampled(ids, [0.0] * len(ids))


@dataclass
class Opened:
    """What `walk_cases` takes."""

    engine: Engine
    chat: Chat
    words: Sequence[str]
    log: list[Request] = field(default_factory=list)
    token_exact: bool = True

    def policy(self, seed: int, temperature: float = 0.0) -> Drawn:
        return Drawn(self.engine, self.chat, seed, self.log, word=self.words[seed % len(self.words)])


class Barrier:
    """Lets calls through only when every meta-episode that is still going has made one."""

    def __init__(self, going: int) -> None:
        self.going, self.waiting, self.gate = going, 0, asyncio.Event()

    async def wait(self) -> None:
        self.waiting += 1
        gate = self.gate
        self.open_if_all()
        await gate.wait()

    def leave(self) -> None:
        self.going -= 1
        self.open_if_all()

    def open_if_all(self) -> None:
        if self.waiting >= self.going:
            self.gate.set()
            self.waiting, self.gate = 0, asyncio.Event()


@dataclass
class InStep:
    """A policy and a searcher; every turn waits for the batch's longest."""

    barrier: Barrier
    policy: Drawn
    searcher: Searcher

    async def sample(self, prompt_ids: Sequence[int], *, max_tokens: int, stop: Sequence[str]) -> Sampled:
        sampled = await self.policy.sample(prompt_ids, max_tokens=max_tokens, stop=stop)
        await self.barrier.wait()
        return sampled

    async def search(self, queries: Sequence[str], topk: int) -> Any:
        return await self.searcher.search(queries, topk)


async def engine_alone(engine: Engine, log: Sequence[Request]) -> None:
    waiting = iter(log)

    async def work() -> None:
        for request in waiting:
            await engine.sample(request)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))


async def in_lock_step(opened: Opened, todo: Sequence[Case], searcher: Searcher) -> None:
    for start in range(0, len(todo), AT_ONCE):
        batch = todo[start : start + AT_ONCE]
        barrier = Barrier(len(batch))

        async def walk(case: Case, barrier: Barrier = barrier) -> None:
            step = InStep(barrier, opened.policy(case.seed), searcher)
            await run_meta_episode(case.question.question, step, step, opened.chat, EPISODE)
            barrier.leave()

        await asyncio.gather(*(walk(case) for case in batch))


async def measure(corpus: Path, questions: int, repeats: int) -> dict[str, Any]:
    chat = Chat(AutoTokenizer.from_pretrained(MODEL))
    made = [Question(str(n), f"question {n}", ("x",), "bench") for n in range(questions)]
    every = list(cases(made, 1, 0))
    words = [json.loads(line)["contents"].split("\n", 1)[0].strip('"') for line in corpus.open()][:5000]
    seconds: dict[str, list[float]] = {"engine": [], "evaluation": [], "lock_step": []}
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "index"
        # In a process of its own: Java and an engine's workers do not live in one family.
        subprocess.run([sys.executable, "-m", "retriever", "index", corpus, "--out", index], check=True, stdout=2)
        searcher = open_searcher(str(index))
        async with vllm_engine(MODEL, context_tokens=EPISODE.context_tokens, max_sequences=AT_ONCE) as running:
            engine = Engine(running)
            await searcher.search(["warm"], 2)
            for repeat in range(repeats + 1):
                todo = every[:AT_ONCE] if repeat == 0 else every  # engine, Java and caches warm up
                opened = Opened(engine, chat, words)
                evaluation = Evaluation(
                    policy=PolicySpec(model=str(MODEL), concurrency=AT_ONCE),
                    questions=made,
                    retriever="in this process",
                    episode=EPISODE,
                    out=Path(folder) / str(repeat),
                )
                await engine.forget()
                start = time.perf_counter()
                await walk_cases(evaluation, todo, opened, searcher, lambda record: None)
                seconds["evaluation"].append(time.perf_counter() - start)
                log = list(opened.log)
                await engine.forget()
                start = time.perf_counter()
                await engine_alone(engine, log)
                seconds["engine"].append(time.perf_counter() - start)
                await engine.forget()
                start = time.perf_counter()
                await in_lock_step(opened, todo, searcher)
                seconds["lock_step"].append(time.perf_counter() - start)
                if not repeat:
                    seconds = {driver: [] for driver in seconds}
        await searcher.close()
    tokens = sum(request.tokens for request in log)
    of_engine = [a / b for a, b in zip(seconds["engine"], seconds["evaluation"], strict=True)]
    of_lock_step = [a / b for a, b in zip(seconds["lock_step"], seconds["evaluation"], strict=True)]
    return {
        "questions": questions,
        "requests": len(log),
        "sampled_tokens": tokens,
        "prompt_tokens": sum(len(request.prompt) for request in log),
        "seconds": seconds,
        "evaluation_of_engine": {"median": statistics.median(of_engine), "each": of_engine},
        "evaluation_over_lock_step": {"median": statistics.median(of_lock_step), "each": of_lock_step},
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, help="passages, JSON lines")
    parser.add_argument("--questions", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    # Longer than the quickstart's model was made for; what it says is not looked at.
    os.environ.update(environment("cpu") | {"VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1"})
    with tempfile.TemporaryDirectory() as logs, quiet(Path(logs) / "log") as console:
        figures = asyncio.run(measure(given.corpus, given.questions, given.repeats))
        console.out(json.dumps(figures, indent=2), highlight=False)
