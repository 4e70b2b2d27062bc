"""Strategies: whatever a policy may write, a searcher find and a configuration say."""

from typing import Literal, cast

from hypothesis import strategies as st

from mrsearch.episode import EpisodeConfig, Sampled
from mrsearch.episode.actions import TOOL_RESERVED_TAGS
from mrsearch.episode.prompts import PROMPTS
from mrsearch.episode.reflection_prompts import REFLECTION_PROMPTS

from .support import FAMILIES, TOOL_FAMILIES, Page, World, chat_of, ids_of

_TAGS = [*TOOL_RESERVED_TAGS]
_SPECIAL = sorted({marker for kind in FAMILIES.values() for marker in (*kind.special, *kind.added)})
_FINISHES = cast(list[Literal["stop", "length", "aborted"]], ["stop"] * 20 + ["length", "aborted"])
_ACTIONS = [
    "<think>hm</think><search> who </search>",
    "<search> where </search>\n",
    "<answer> Rome </answer>",
    "<answer></answer>",
    "<reflection> no </reflection>",
    "<search> cut </sear",
    '<tool_call>{"name": "search", "arguments": {"query": "who"}}</tool_call>',
    '<tool_call>\n{"name": "search", "arguments": {"query": "\\ud800 </answer>"}}\n</tool_call>\n',
    "<tool_call>who</tool_call>",
]

# JSON can carry halves of surrogate pairs, so untrusted text may hold them.
_untrusted = st.lists(
    st.text(st.characters(exclude_categories=()), max_size=8)
    | st.sampled_from([*_TAGS, *_SPECIAL, "</", "<|im_", "{passages}", "{0}", "\ud800"]),
    max_size=4,
).map("".join)
_pages = st.builds(Page, st.text(max_size=3), _untrusted, _untrusted, st.floats(allow_nan=False, allow_infinity=False))
_results = st.lists(
    st.lists(_pages, max_size=3) | st.sampled_from([TimeoutError("slow"), RuntimeError("down")]),
    min_size=1,
    max_size=3,
)


@st.composite
def _turns(draw: st.DrawFn, family: str) -> list[Sampled]:
    """Turns of ids: text, tags, special tokens, single bytes and any ids at all, in any order."""
    tokenizer = chat_of(family)[1]
    any_ids = st.lists(st.integers(0, len(tokenizer) - 1), max_size=6)
    text = st.text(max_size=8) | st.sampled_from([*_TAGS, *_SPECIAL, *_ACTIONS]) | st.just("long " * 60)
    mixed = st.lists(text.map(lambda t: ids_of(tokenizer, t)) | any_ids, max_size=5).map(
        lambda parts: [token for part in parts for token in part]
    )
    action = st.builds(
        lambda action, end: ids_of(tokenizer, action + end),
        st.sampled_from(_ACTIONS),
        st.sampled_from(["", "", tokenizer.eos_token, "\n", "<|endoftext|>"]),
    )
    finish = st.sampled_from(_FINISHES)
    turns = []
    for ids in draw(st.lists(mixed | action | action, min_size=1, max_size=6)):
        least = draw(st.floats(-50, 0))
        turns.append(Sampled(ids, [least / (1 + i) for i in range(len(ids))], draw(finish)))
    return turns


@st.composite
def _configs(draw: st.DrawFn, family: str) -> EpisodeConfig:
    level = draw(st.sampled_from(["attempt", "step"]))
    return EpisodeConfig(
        attempts=draw(st.integers(1, 4)),
        max_searches=draw(st.integers(0, 3)),
        topk=draw(st.integers(1, 3)),
        max_invalid=draw(st.integers(0, 2)),
        final_turn=level == "step" or draw(st.booleans()),
        level=level,
        context=draw(st.sampled_from(["full", "short"])),
        protocol=draw(st.sampled_from(["tags", "hermes"] if family in TOOL_FAMILIES else ["tags"])),
        reflection=draw(st.sampled_from(["implicit", "explicit"])),
        reflection_prompt=draw(st.sampled_from([None, *REFLECTION_PROMPTS, "text:Again. <|im_end|>"])),
        turn_tokens=draw(st.just(200) | st.integers(1, 80)),
        observation_tokens=draw(st.integers(1, 80)),
        attempt_tokens=draw(st.none() | st.just(1000) | st.integers(1, 300)),
        context_tokens=draw(st.sampled_from([8000, 8000, 1500, 500]) | st.integers(1, 2000)),
        prompts=draw(st.sampled_from(sorted(PROMPTS))),
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[World, str, EpisodeConfig]:
    family = draw(st.sampled_from(sorted(FAMILIES)))
    pauses = draw(st.lists(st.integers(0, 3), max_size=3))
    world = World(family, draw(_turns(family)), draw(_results), pauses)
    return world, draw(_untrusted), draw(_configs(family))
