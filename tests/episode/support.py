"""What the tests of the meta-episode share: tokenisers of four families, scripted policies, searchers."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from hypothesis import HealthCheck, settings
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from mrsearch.episode import (
    Chat,
    EpisodeConfig,
    Maker,
    MetaEpisode,
    Passage,
    Sampled,
    Transcript,
    run_meta_episode,
)

# Examples are slow to draw on a busy machine, and none is kept in the working tree.
PROPERTY = settings(deadline=None, max_examples=150, database=None, suppress_health_check=[HealthCheck.too_slow])

TEMPLATES = Path(__file__).parent / "templates"

_QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_LLAMA3_SPLIT = _QWEN2_SPLIT.replace(r"\p{N}|", r"\p{N}{1,3}|", 1)

# Byte-level names: Ċ is the line end, Ġ the space. `>Ċ` and `><` run over the end of a closing tag.
_MERGES = ((">", "Ċ"), (">", "<"), ("<", "/"), ("><", "/"), ("Ċ", "Ċ"), ("a", "n"), ("s", "e"), ("e", "r"))


@dataclass(frozen=True)
class Family:
    """What tells the tokenisers of one family of models from another's."""

    special: tuple[str, ...]
    eos: str
    bos: str | None = None
    added: tuple[str, ...] = ()
    split: str | None = None
    merges: tuple[tuple[str, str], ...] = ()


_IM = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_LLAMA = ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
FAMILIES = {
    "qwen2.5": Family(_IM, "<|im_end|>", added=("<tool_call>",), split=_QWEN2_SPLIT, merges=_MERGES),
    "qwen2.5-base": Family(_IM, "<|endoftext|>", split=_QWEN2_SPLIT, merges=_MERGES),
    "qwen3": Family(_IM, "<|im_end|>", added=("<think>", "</think>"), split=_QWEN2_SPLIT, merges=_MERGES),
    "llama3": Family(_LLAMA, "<|eot_id|>", bos="<|begin_of_text|>", split=_LLAMA3_SPLIT, merges=_MERGES),
    "chatml": Family(("<|im_start|>", "<|im_end|>"), "<|im_end|>"),
}
_TEMPLATE_OF = {"qwen2.5-base": "qwen2.5"}
TOOL_FAMILIES = ("qwen2.5", "qwen2.5-base", "qwen3")
"""Those whose templates take tools."""


def make_tokenizer(family: str, template: str | None = None) -> PreTrainedTokenizerFast:
    """A byte-level BPE with the family's special tokens, splitting and chat template, or another template."""
    kind = FAMILIES[family]
    pieces = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *("".join(pair) for pair in kind.merges)]
    vocab = {piece: number for number, piece in enumerate(pieces)}
    backend = Tokenizer(models.BPE(vocab=vocab, merges=list(kind.merges)))
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    splits = [pre_tokenizers.Split(Regex(kind.split), "isolated")] if kind.split else []
    backend.pre_tokenizer = pre_tokenizers.Sequence([*splits, byte_level])
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(list(kind.special))
    backend.add_tokens(list(kind.added))
    if kind.bos:
        backend.post_processor = processors.TemplateProcessing(
            single=f"{kind.bos} $A", special_tokens=[(kind.bos, backend.token_to_id(kind.bos))]
        )
    source = TEMPLATES / f"{template or _TEMPLATE_OF.get(family, family)}.jinja"
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token=kind.eos, bos_token=kind.bos, chat_template=source.read_text()
    )


@cache
def chat_of(family: str) -> tuple[Chat, PreTrainedTokenizerFast]:
    """One chat for each family, and its tokeniser."""
    tokenizer = make_tokenizer(family)
    return Chat(tokenizer), tokenizer


def ids_of(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    """Ids of a text in which special tokens are written out, as an engine would have sampled them."""
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return ids


@dataclass
class Request:
    """One call of a policy and what it gave back."""

    prompt_ids: list[int]
    max_tokens: int
    stop: tuple[str, ...]
    output: Sampled


@dataclass
class ScriptedPolicy:
    """Says its turns one after the other, the last one for ever; obeys `max_tokens`, records every request.

    A turn is a text (special tokens written out), ids, or a whole `Sampled`. Log-probabilities are −1/8,
    −2/8, … over the policy's life, so that each token can be told from all others.
    """

    tokenizer: PreTrainedTokenizerFast
    turns: Sequence[str | Sequence[int] | Sampled]
    pauses: Sequence[int] = ()
    requests: list[Request] = field(default_factory=list)
    said: int = 0

    async def sample(self, prompt_ids: Sequence[int], *, max_tokens: int, stop: Sequence[str]) -> Sampled:
        number = len(self.requests)
        for _ in range(self.pauses[number % len(self.pauses)] if self.pauses else 0):
            await asyncio.sleep(0)
        output = self._turn(self.turns[min(number, len(self.turns) - 1)], max_tokens)
        self.requests.append(Request(list(prompt_ids), max_tokens, tuple(stop), output))
        return output

    def _turn(self, turn: str | Sequence[int] | Sampled, max_tokens: int) -> Sampled:
        if isinstance(turn, Sampled):
            return Sampled(turn.token_ids[:max_tokens], turn.logprobs[:max_tokens], turn.finish)
        ids = (ids_of(self.tokenizer, turn) if isinstance(turn, str) else list(turn))[:max_tokens]
        start, self.said = self.said, self.said + len(ids)
        return Sampled(ids, [-(start + i + 1) / 8 for i in range(len(ids))])


@dataclass(frozen=True)
class Page:
    """A passage."""

    id: str
    title: str
    text: str
    score: float = 1.0


@dataclass
class ScriptedSearcher:
    """Finds its results one after the other, the last one for ever; raises those that are exceptions."""

    results: Sequence[Sequence[Passage] | Exception] = ((),)
    queries: list[str] = field(default_factory=list)

    async def search(self, queries: Sequence[str], topk: int) -> Sequence[Sequence[Passage]]:
        result = self.results[min(len(self.queries), len(self.results) - 1)]
        self.queries.extend(queries)
        await asyncio.sleep(0)
        if isinstance(result, Exception):
            raise result
        return [result[:topk]]


@dataclass
class World:
    """A family's chat with a scripted policy and searcher, ready to run."""

    family: str
    turns: Sequence[str | Sequence[int] | Sampled]
    results: Sequence[Sequence[Passage] | Exception] = ((),)
    pauses: Sequence[int] = ()

    def __post_init__(self) -> None:
        self.chat, self.tokenizer = chat_of(self.family)
        self.policy = ScriptedPolicy(self.tokenizer, self.turns, self.pauses)
        self.searcher = ScriptedSearcher(self.results)

    async def walk(self, question: str, config: EpisodeConfig) -> MetaEpisode:
        return await run_meta_episode(question, self.policy, self.searcher, self.chat, config)

    def run(self, question: str, config: EpisodeConfig) -> MetaEpisode:
        return asyncio.run(self.walk(question, config))


Row = tuple[Maker, int, int, str]


def assert_transcript(transcript: Transcript, expected: Sequence[Row], world: World) -> None:
    """Compares all parallel arrays with rows of (maker, attempt, turn, text).

    A row's text is tokenised alone, with special tokens; its tokens are trained where the policy made it.
    """
    shown = [
        (segment.maker, segment.attempt, segment.turn, world.chat.decode(segment.ids))
        for segment in transcript.segments
    ]
    assert shown == list(expected)
    tokens = [(row, token) for row in expected for token in ids_of(world.tokenizer, row[3])]
    assert transcript.ids == [token for _, token in tokens]
    assert transcript.makers == [row[0] for row, _ in tokens]
    assert transcript.attempts == [row[1] for row, _ in tokens]
    assert transcript.turns == [row[2] for row, _ in tokens]
    assert transcript.trained == [row[0] is Maker.POLICY for row, _ in tokens]
    sampled = [logprob for request in world.policy.requests for logprob in request.output.logprobs]
    assert [logprob for logprob in transcript.logprobs if not math.isnan(logprob)] == sampled
    assert [math.isnan(logprob) for logprob in transcript.logprobs] == [not t for t in transcript.trained]
