"""The environment's words where searches are tool calls, under the names of the tag protocol's sets."""

from dataclasses import replace
from typing import Final

from mrsearch.episode.prompts import PROMPTS, Prompts
from mrsearch.episode.reflection_prompts import REFLECTION_PROMPTS

_RESTATED = (
    " As before, reason inside <think> and </think>, call the search tool where you lack knowledge, and give the "
    "answer inside <answer> and </answer>."
)


def _with_tools(words: Prompts) -> Prompts:
    """A set with the words that name the tags of searching said for tool calls; passages come plain."""
    return replace(
        words,
        reflection=REFLECTION_PROMPTS["improve"] + _RESTATED,
        restated=_RESTATED,
        invalid=(
            "This was no valid action. Call the search tool with one JSON object between <tool_call> and </tool_call>, "
            'such as {"name": "search", "arguments": {"query": "…"}}, or give the answer between <answer> and '
            "</answer>."
        ),
        answer_due="No searches are left: give your answer between <answer> and </answer>.",
        step_answer_due="Before anything else, give your best answer so far between <answer> and </answer>.",
        observation="{passages}",
    )


_BASE = replace(
    _with_tools(PROMPTS["base"]),
    user=(
        "Answer the given question. Reason inside <think> and </think> first, every time you get new information. If "
        "you lack some knowledge, call the search tool; you can call it several times. When no further knowledge is "
        "needed, give the answer inside <answer> and </answer>, without detailed illustrations. For example, "
        "<answer> Beijing </answer>. Question: {question}\n"
    ),
)

TOOL_PROMPTS: Final[dict[str, Prompts]] = {
    "base": _BASE,
    "instruct": replace(
        _with_tools(PROMPTS["instruct"]),
        system=(
            "You answer questions with the help of a search tool. Think inside <think> and </think> before every "
            "action. When you know the answer, write it, short and alone, inside <answer> and </answer>."
        ),
    ),
    "brief": replace(
        PROMPTS["brief"],
        invalid="Invalid: call the tool or answer.",
        answer_due="Answer now.",
        step_answer_due="Answer now.",
        observation="{passages}",
    ),
    "direct": _with_tools(PROMPTS["direct"]),
    # What the question itself finds stands in the first message, between tags that its words name.
    "rag": replace(_with_tools(PROMPTS["rag"]), observation=PROMPTS["rag"].observation),
}
