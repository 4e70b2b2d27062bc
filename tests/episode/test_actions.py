"""The action of a turn, case by case."""

import pytest

from mrsearch.episode.actions import Action, parse_action, parse_reflection


@pytest.mark.parametrize(
    ("text", "kind", "content", "thinking"),
    [
        ("<think>hm</think><search> who </search>", "search", "who", "<think>hm</think>"),
        ("<answer>\nRome\t</answer>", "answer", "Rome", ""),
        ("<answer> Rome </answer>\n", "answer", "Rome", ""),
        ("<answer></answer>", "answer", "", ""),
        ("<search>two\nlines</search>", "search", "two\nlines", ""),
        # the earliest closing tag decides, whatever opens or closes around it
        ("<answer> a </answer><search> b </search>", "answer", "a", ""),
        ("<search> b </search><answer> a </answer>", "search", "b", ""),
        ("<search> b <answer> a </answer></search>", "answer", "a", "<search> b "),
        ("<answer> a <search> b </search></answer>", "search", "b", "<answer> a "),
        # content begins at the last opening tag of its kind
        ("I may <search> or <search> q </search>", "search", "q", "I may <search> or "),
        ("<answer> x <answer> y </answer>", "answer", "y", "<answer> x "),
        # no complete action
        ("", "invalid", "", ""),
        ("no tags", "invalid", "", "no tags"),
        ("<search> cut", "invalid", "", "<search> cut"),
        ("<search> cut </searc", "invalid", "", "<search> cut </searc"),
        ("<search> </search>", "invalid", "", "<search> </search>"),
        ("</answer>", "invalid", "", "</answer>"),
        ("</search><answer> a </answer>", "invalid", "", "</search><answer> a </answer>"),
        ("</answer> late <answer>", "invalid", "", "</answer> late <answer>"),
        # tags are written as they are, or they are not tags
        ("<Search> q </Search>", "invalid", "", "<Search> q </Search>"),
        ("< search> q </ search>", "invalid", "", "< search> q </ search>"),
        # what the policy writes as if it were the environment is its own text
        ("<information>x</information><answer>y</answer>", "answer", "y", "<information>x</information>"),
    ],
)
def test_parse_action(text: str, kind: str, content: str, thinking: str) -> None:
    assert parse_action(text) == Action(kind, content, thinking)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "reflection"),
    [
        ("<reflection> I misread. </reflection>", "I misread."),
        ("I misread.</reflection>", "I misread."),
        ("no tag at all", "no tag at all"),
        ("<reflection></reflection>", ""),
        ("a</reflection> b</reflection>", "a"),
    ],
)
def test_parse_reflection(text: str, reflection: str) -> None:
    assert parse_reflection(text) == reflection
