"""Every word the environment says to the policy in the tag protocol, in named sets."""

from dataclasses import dataclass, replace

from mrsearch.episode.reflection_prompts import REFLECTION_PROMPTS


@dataclass(frozen=True, slots=True)
class Prompts:
    """One set of the environment's words.

    Attributes:
        system: system message, or None to leave the model's own default.
        user: first user message, with `{question}` in it; where it has `{passages}`, the question itself is searched
            for before the first attempt, and what was found stands there.
        reflection: user message that opens every attempt after the first.
        restated: what a named template of `reflection_prompts` is followed by: how to act.
        step: user message that opens every step of an attempt after the first, at step level.
        invalid: what answers a turn that holds no complete action.
        answer_due: what ends the observation of the last allowed search when a final turn follows.
        step_answer_due: the same at step level, where further searches may follow the answer.
        after_reflection: what follows an explicit reflection whose message the policy closed.
        earlier: in a short context, what stands between the first user message and the reflection prompt, with
            `{attempts}`.
        earlier_attempt: what is kept there of one attempt, with `{number}`, `{thoughts}` and `{answer}`.
        passage: how one passage is shown on a line, with `{rank}` and `{title}`, and `{text}` at its end.
        observation: what wraps the passages, with `{passages}`.
        nothing_found: what stands for the passages when a search finds none.
    """

    system: str | None
    user: str
    reflection: str
    restated: str
    step: str
    invalid: str
    answer_due: str
    step_answer_due: str
    after_reflection: str
    earlier: str = "\nYour earlier attempts at this question:\n{attempts}\n"
    earlier_attempt: str = "Attempt {number}. Thoughts: {thoughts}\nAnswer: {answer}\n"
    passage: str = "Doc {rank}(Title: {title}) {text}"
    observation: str = "\n\n<information>{passages}</information>\n\n"
    nothing_found: str = "Nothing was found.\n"


_INVALID = (
    "\nMy previous action is invalid. To search, I put the query between <search> and </search>. "
    "To answer, I put the answer between <answer> and </answer>. Let me try again.\n"
)
_ANSWER_DUE = "No searches are left, so I must now give my answer between <answer> and </answer>.\n"
_STEP_ANSWER_DUE = "Before anything else, I must now give my best answer so far between <answer> and </answer>.\n"
_STEP = "Search for what is still missing or uncertain, then answer again."
_RESTATED = (
    " As before, reason inside <think> and </think>, search with <search> query </search>, read the results between "
    "<information> and </information>, and give the answer inside <answer> and </answer>."
)
_AFTER_REFLECTION = "Now act on this reflection: search, or answer.\n"

# The user message is Search-R1's, to the letter: it is the interface of the checkpoints trained with it.
_BASE = Prompts(
    system=None,
    user=(
        "Answer the given question. You must conduct reasoning inside <think> and </think> first every time you "
        "get new information. After reasoning, if you find you lack some knowledge, you can call a search engine "
        "by <search> query </search> and it will return the top searched results between <information> and "
        "</information>. You can search as many times as your want. If you find no further external knowledge "
        "needed, you can directly provide the answer inside <answer> and </answer>, without detailed "
        "illustrations. For example, <answer> Beijing </answer>. Question: {question}\n"
    ),
    reflection=REFLECTION_PROMPTS["improve"] + _RESTATED,
    restated=_RESTATED,
    step=_STEP,
    invalid=_INVALID,
    answer_due=_ANSWER_DUE,
    step_answer_due=_STEP_ANSWER_DUE,
    after_reflection=_AFTER_REFLECTION,
)

_INSTRUCT = Prompts(
    system=(
        "You answer questions with the help of a search engine. Think inside <think> and </think> before every "
        "action. To search, write <search> query </search>; the results come between <information> and "
        "</information>. When you know the answer, write it, short and alone, inside <answer> and </answer>."
    ),
    user="{question}",
    reflection=_BASE.reflection,
    restated=_RESTATED,
    step=_STEP,
    invalid=_INVALID,
    answer_due=_ANSWER_DUE,
    step_answer_due=_STEP_ANSWER_DUE,
    after_reflection=_AFTER_REFLECTION,
)

# For models so small that every token of instructions costs; they learn the protocol from demonstrations.
_BRIEF = Prompts(
    system=None,
    user="{question}",
    reflection="Reflect and improve.",
    restated="",
    step="Search on, then answer again.",
    invalid="\nInvalid: search or answer.\n",
    answer_due="Answer now.\n",
    step_answer_due="Answer now.\n",
    after_reflection="Search or answer.\n",
    earlier="\nBefore:\n{attempts}",
    earlier_attempt="{number}. {thoughts} Answer: {answer}\n",
    passage="{rank}. {title}: {text}",
    observation="\n<information>{passages}</information>\n",
    nothing_found="Nothing.\n",
)

# Baselines without a search of the policy's own.
_DIRECT = replace(
    _BASE,
    user=(
        "Answer the given question. Reason inside <think> and </think> first, then give the answer inside <answer> "
        "and </answer>, without detailed illustrations. For example, <answer> Beijing </answer>. "
        "Question: {question}\n"
    ),
)

_RAG = replace(
    _DIRECT,
    user=(
        "Answer the given question with the help of the search results between <information> and </information>. "
        "Reason inside <think> and </think> first, then give the answer inside <answer> and </answer>, without "
        "detailed illustrations. For example, <answer> Beijing </answer>.{passages}Question: {question}\n"
    ),
)

PROMPTS: dict[str, Prompts] = {
    "base": _BASE,
    "instruct": _INSTRUCT,
    "brief": _BRIEF,
    "direct": _DIRECT,
    "rag": _RAG,
}
