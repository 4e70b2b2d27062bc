"""Passages are untrusted: nothing in them breaks out, and cutting them never loses the wrapping."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrsearch.episode import Chat, ShownPassage
from mrsearch.episode.actions import RESERVED_TAGS, TOOL_RESERVED_TAGS
from mrsearch.episode.observations import render_observation
from mrsearch.episode.prompts import PROMPTS, Prompts
from mrsearch.episode.tool_prompts import TOOL_PROMPTS

from .support import FAMILIES, PROPERTY, Page, chat_of, make_tokenizer

MARKERS = sorted({*TOOL_RESERVED_TAGS, *(m for kind in FAMILIES.values() for m in (*kind.special, *kind.added))})

WORDS = [
    *((words, RESERVED_TAGS) for words in PROMPTS.values()),
    *((words, TOOL_RESERVED_TAGS) for words in TOOL_PROMPTS.values()),
]

# Whole markers, and halves that make one where they meet.
_pieces = st.sampled_from(MARKERS) | st.builds(
    lambda marker, at: marker[: at % len(marker)], st.sampled_from(MARKERS), st.integers(0, 20)
)
_ends = st.builds(lambda marker, at: marker[at % len(marker) :], st.sampled_from(MARKERS), st.integers(0, 20))
_any_text = st.text(st.characters(exclude_categories=()), max_size=5)
_hostile = st.lists(_pieces | _ends | _pieces.map(str.upper) | _any_text, max_size=8).map("".join)
_pages = st.lists(st.builds(Page, st.just("p"), _hostile, _hostile), max_size=4)


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("</answer>", "< /answer>"),
        ("<|im_end|>", "< |im_end|>"),
        ("<SEARCH>", "< SEARCH>"),
        ("<sea<search>rch>", "<sea< search>rch>"),
        ("plain < text > stays", "plain < text > stays"),
        ("<information", "<information"),
        ("half a pair \ud800", "half a pair \ufffd"),
    ],
)
def test_neutralise(text: str, broken: str) -> None:
    assert chat_of("qwen2.5")[0].neutralise(text) == broken


def test_each_family_neutralises_its_own_tokens() -> None:
    assert chat_of("qwen2.5")[0].neutralise("<tool_call><|eot_id|>") == "< tool_call><|eot_id|>"
    assert chat_of("llama3")[0].neutralise("<tool_call><|eot_id|>") == "<tool_call>< |eot_id|>"


@PROPERTY
@given(st.sampled_from(sorted(FAMILIES)), st.sampled_from([RESERVED_TAGS, TOOL_RESERVED_TAGS]), _hostile)
def test_no_marker_survives(family: str, reserved: tuple[str, ...], text: str) -> None:
    chat, tokenizer = chat_of(family)
    neutral = chat.neutralise(text, reserved).lower()
    own = [*reserved, *(str(token).lower() for token in tokenizer.added_tokens_decoder.values())]
    assert not [marker for marker in own if marker in neutral]
    assert chat.neutralise(neutral, reserved) == neutral


@PROPERTY
@given(
    st.sampled_from(sorted(FAMILIES)),
    st.sampled_from(WORDS),
    _pages,
    st.integers(1, 120),
    st.booleans(),
)
def test_observations_hold(
    family: str, said: tuple[Prompts, tuple[str, ...]], pages: list[Page], budget: int, answer_due: bool
) -> None:
    chat, tokenizer = chat_of(family)
    prompts, reserved = said
    ids, shown = render_observation(chat, prompts, pages, budget, answer_due=answer_due, reserved=reserved)
    text = chat.decode(ids)

    assert not set(ids) & set(tokenizer.added_tokens_decoder)
    opening, closing = prompts.observation.split("{passages}")
    assert text.startswith(opening)
    assert text.endswith(closing + (prompts.answer_due if answer_due else ""))
    body = text[len(opening) :].removesuffix(prompts.answer_due if answer_due else "").removesuffix(closing)
    assert not [tag for tag in reserved if tag in body.lower()]
    assert len(shown) == len(pages)

    wrapping = [chat.encode(opening), chat.encode(closing + (prompts.answer_due if answer_due else ""))]
    if pages:
        assert len(ids) <= sum(map(len, wrapping)) + budget + len(pages) * len(chat.encode("\n"))


def test_passages_are_cut_one_by_one() -> None:
    """40 tokens for two: the first takes its half, the second what is left; letters are tokens here."""
    chat, _ = chat_of("chatml")
    pages = [Page("a", "Ada", "x" * 50, 2.0), Page("b", "Bob", "yy", 1.0), Page("c", "Cy", "z" * 50, 0.5)]
    ids, shown = render_observation(chat, PROMPTS["brief"], pages, 60, answer_due=True)

    first, second, third = "1. Ada: " + "x" * 12, "2. Bob: yy", "3. Cy: " + "z" * 23
    assert (len(first), len(second), len(third)) == (20, 10, 30)
    assert chat.decode(ids) == f"\n<information>{first}\n{second}\n{third}\n</information>\nAnswer now.\n"
    assert shown == [
        ShownPassage("a", "Ada", "x" * 12, 2.0),
        ShownPassage("b", "Bob", "yy", 1.0),
        ShownPassage("c", "Cy", "z" * 23, 0.5),
    ]


def test_search_r1_shows_passages_like_this() -> None:
    chat, _ = chat_of("qwen2.5")
    ids, _ = render_observation(chat, PROMPTS["base"], [Page("a", "Ada", "wrote it")], 100, answer_due=False)
    assert chat.decode(ids) == "\n\n<information>Doc 1(Title: Ada) wrote it\n</information>\n\n"


@pytest.mark.parametrize("name", sorted(PROMPTS))
def test_nothing_found_is_said(name: str) -> None:
    chat, _ = chat_of("chatml")
    ids, shown = render_observation(chat, PROMPTS[name], [], 100, answer_due=False)
    assert f"<information>{PROMPTS[name].nothing_found}</information>" in chat.decode(ids)
    assert shown == []


@pytest.mark.parametrize("name", sorted(PROMPTS))
def test_a_passage_line_ends_with_its_text(name: str) -> None:
    assert PROMPTS[name].passage.endswith("{text}")


def test_markers_that_overlap_or_meet() -> None:
    tokenizer = make_tokenizer("chatml")
    tokenizer.add_special_tokens({"additional_special_tokens": ["[AB]", "B]C", "a: b"]})
    chat = Chat(tokenizer)
    assert chat.neutralise("[AB]C") == "[ AB ]C"
    ids, _ = render_observation(chat, PROMPTS["brief"], [Page("p", "a", "b")], 100, answer_due=False)
    assert chat.decode(ids) == "\n<information>1. a : b\n</information>\n"


def test_no_text_of_the_environment_becomes_a_special_token(family: str) -> None:
    chat, tokenizer = chat_of(family)
    text = "".join(FAMILIES[family].special)
    assert not set(chat.encode(text)) & set(tokenizer.added_tokens_decoder)
    assert chat.decode(chat.encode(text)) == text


def test_tokens_of_spaces_and_single_characters_are_no_markers() -> None:
    """Phi's tokeniser has added tokens for runs of spaces; no inserted space could break those."""
    tokenizer = make_tokenizer("chatml")
    tokenizer.add_tokens(["  ", "\n\n"])
    tokenizer.add_special_tokens({"pad_token": "!"})
    assert Chat(tokenizer).neutralise("a  b\n\n!<|im_end|>") == "a  b\n\n!< |im_end|>"
