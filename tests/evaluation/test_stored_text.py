"""Cutting stored text into attempts and reading their answers."""

import re
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrsearch.episode.prompts import PROMPTS
from mrsearch.episode.reflection_prompts import REFLECTION_PROMPTS
from mrsearch.evaluation.scoring import score_row
from mrsearch.evaluation.stored_text import answer_of, split_attempts

BASE = PROMPTS["base"]
PROMPT = BASE.user.replace("{question}", "who wrote it")
# Search-R1's own note, whose tags its scorer reads like any others.
NOTE = (
    "\nMy previous action is invalid. If I want to search, I should put the query between <search> and </search>. "
    "If I want to give the final answer, I should put the answer between <answer> and </answer>. Let me try again.\n"
)


def published_answer(text: str) -> str | None:
    """The published rule, read by hand: no regular expression, one pair after the other from the left."""
    answer, at = None, 0
    while (opening := text.find("<answer>", at)) >= 0:
        closing = text.find("</answer>", opening + len("<answer>"))
        if closing < 0:
            break
        answer = text[opening + len("<answer>") : closing].strip()
        at = closing + len("</answer>")
    return answer


def published_exact_match(text: str, golds: list[str]) -> float:
    answer = published_answer(text)
    return float(answer is not None and any(squad(answer) == squad(gold) for gold in golds))


def squad(text: str) -> str:
    """Lower case, then no punctuation, then no articles, then single spaces."""
    letters = [letter for letter in text.lower() if letter not in string.punctuation]
    return " ".join(word for word in re.sub(r"\b(a|an|the)\b", " ", "".join(letters)).split())


TAGS = ("answer", "search", "information", "think")
PIECES = st.sampled_from(
    [
        *(f"<{slash}{tag}>" for tag in TAGS for slash in ("", "/")),
        *("Paris", " the paris. ", "London", "\n", " ", "<", ">", "/answer>", "<|im_end|>", "<|endoftext|>", "İ", "é"),
        *(NOTE, "<answer> and </answer>", "Doc 1(Title: <answer>x</answer>) text"),
    ]
)


@settings(max_examples=500, deadline=None)
@given(st.lists(PIECES, max_size=14).map("".join), st.booleans())
def test_tag_soup_scores_as_published(response: str, with_prompt: bool) -> None:
    text = PROMPT + response if with_prompt else response
    scores = score_row(text, ["Paris"])
    # Under the published rule the prompt's example is what a response without an answer answers: Beijing.
    assert scores["last"]["exact_match"] == published_exact_match(PROMPT + response, ["Paris"])
    assert scores["last"]["answer"] == published_answer(response)
    assert len(scores["answers"]) == 1


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<answer> a <answer> b </answer>", "a <answer> b"),
        ("<answer> a </answer> b </answer>", "a"),
        ("<answer> a", None),
        ("<answer></answer>", ""),
        ("<answer>\n two\n lines \n</answer>", "two\n lines"),
        ("<answer>a</answer> <answer>b</answer>", "b"),
        ("<answer>a</answer> <answer>b", "a"),
        ("<Answer>a</Answer>", None),
        ("<answer> Rome </answer><|im_end|><|endoftext|>", "Rome"),
        ("<answer> Rome <|im_end|></answer>", "Rome <|im_end|>"),
        ("<information>Doc 1(Title: x) <answer> planted </answer></information>", "planted"),
        ("<answer> Rome </answer>" + NOTE, "and"),
    ],
)
def test_the_last_pair_of_tags_is_the_answer(text: str, answer: str | None) -> None:
    assert answer_of(text) == answer
    assert published_answer(text) == answer


CHATML = ("<|im_start|>system\nYou are Qwen.<|im_end|>\n", "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n")
LLAMA = (
    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nHelp.<|eot_id|>",
    "<|start_header_id|>user<|end_header_id|>\n\n",
    "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
)
BARE = ("system\nYou are Qwen.\n", "user\n", "\nassistant\n")
BARE_LLAMA = ("", "user\n\n", "assistant\n\n")
ENDS = {CHATML: "<|im_end|>\n", LLAMA: "<|eot_id|>", BARE: "\n", BARE_LLAMA: ""}


@pytest.mark.parametrize("template", [CHATML, LLAMA, BARE], ids=["chatml", "llama3", "without markers"])
@pytest.mark.parametrize("system", [True, False])
@pytest.mark.parametrize("prompt", [True, False])
def test_user_messages_cut_attempts(template: tuple[str, str, str], system: bool, prompt: bool) -> None:
    before, user, assistant = template
    join = ENDS[template] + user + BASE.reflection + assistant
    first = (before if system else "") + user + PROMPT + assistant if prompt else ""
    text = first + "<answer> a </answer>" + join + "<think> hm </think>" + join + "<answer> c </answer>"
    assert score_row(text, ["c"])["answers"] == ["a", None, "c"]


def test_the_prompts_own_example_is_no_answer() -> None:
    assert score_row(PROMPT + "<think> I do not know </think>", ["Beijing"])["answers"] == [None]
    assert score_row(PROMPT + "<answer> Beijing </answer>", ["Beijing"])["exact_match"] == [1.0]


def test_a_prompt_that_a_model_goes_on_to_write_is_no_prompt() -> None:
    text = "<answer> Rome </answer>\n\n" + PROMPT
    assert score_row(text, ["Rome"])["answers"] == ["Beijing"], "as published: the last pair"


@pytest.mark.parametrize(
    "said",
    [
        "\n\n<information>Doc 1(Title: x) y</information>\n\n",
        "<tool_response>\ny\n</tool_response>",
        BASE.invalid,
        BASE.after_reflection,
    ],
)
def test_observations_and_notes_that_come_as_user_messages_cut_nothing(said: str) -> None:
    _, user, assistant = CHATML
    text = "<search> q </search><|im_end|>\n" + user + said + assistant + "<answer> a </answer>"
    assert split_attempts(text) == [text]


def test_a_document_cuts_nothing() -> None:
    message = "\nuser\nReflect and try again.\nassistant\n"
    text = f"<search> q </search><information>Doc 1{message}</information><answer> a </answer>"
    assert split_attempts(text) == [text]


def test_a_document_whose_end_was_cut_off_hides_no_attempt() -> None:
    _, user, assistant = CHATML
    text = "<information>Doc 1 and no" + user + BASE.reflection + assistant + "<answer> a </answer>"
    assert len(split_attempts(text)) == 2


@pytest.mark.parametrize(
    "said",
    [
        "What is 2 + 2?\nassistant\n<think> four",
        "Who played against the Lakers in 2010?\nassistant\n<search> Lakers 2010 </search>",
        "How can I improve my English?\nassistant\nTo improve your English, read.",
        "What does the moon's light reflect?\nassistant\nthe sun",
    ],
)
def test_a_model_that_rambles_on_begins_no_attempt(said: str) -> None:
    assert score_row(f"<answer> Rome </answer>\nuser\n{said}", ["Rome"])["answers"] == ["Rome"]


@pytest.mark.parametrize("name", REFLECTION_PROMPTS)
@pytest.mark.parametrize("template", [CHATML, LLAMA, BARE, BARE_LLAMA], ids=["chatml", "llama3", "bare", "bare llama3"])
def test_every_reflection_prompt_of_ours_cuts(name: str, template: tuple[str, str, str]) -> None:
    _, user, assistant = template
    join = ENDS[template] + user + REFLECTION_PROMPTS[name] + BASE.restated + assistant
    assert score_row(f"<answer> a </answer>{join}<think> hm", ["a"])["answers"] == ["a", None]


def test_padding_before_the_prompt_is_no_attempt() -> None:
    _, user, assistant = CHATML
    text = "<|endoftext|><|endoftext|>" + user + PROMPT + assistant + "<answer> Rome </answer>"
    assert score_row(text, ["Rome"])["answers"] == ["Rome"]
