"""What asks for a reflection: named templates, or the user's own words."""

from typing import Final

from mrsearch.errors import UserError

_OWN = "text:"

REFLECTION_PROMPTS: Final = {
    "improve": (
        "Reflect on your current answer: what does it rest on, and what could be wrong or missing? Then give an "
        "improved answer, searching for more information where it helps."
    ),
    "critic": (
        "Read your last attempt as a strict reviewer would. Name its weakest point: a claim that no passage supports, "
        "a name that may belong to somebody else, or a part of the question left open. Then search for what settles "
        "that point, and answer anew."
    ),
    "checklist": (
        "Check your last attempt point by point: Does the answer have the kind of thing that is asked for? Is every "
        "step towards it shown by a passage? Is it the right person, place or work, and not a namesake? Has a "
        "condition of the question been forgotten? Then search for whatever fails the check, and answer anew."
    ),
    "brief": "Reflect on your answer, search for what is missing, and improve it.",
    "new_path": (
        "Suppose that your last answer is wrong. Say which step most likely went wrong, and take another path: other "
        "queries, another reading of the question, another source. Then compare what both paths found, and give the "
        "answer that is better supported."
    ),
}
"""Templates by name; a prompt set adds how to act (`Prompts.restated`)."""


def check_reflection_prompt(given: str | None) -> None:
    """Checks a value of `episode.reflection_prompt`.

    Raises:
        UserError: it is neither None, nor a known name, nor "text:" with words behind it.
    """
    own = isinstance(given, str) and given.startswith(_OWN) and given.removeprefix(_OWN).strip()
    if given is not None and not own and not (isinstance(given, str) and given in REFLECTION_PROMPTS):
        names = ", ".join(REFLECTION_PROMPTS)
        raise UserError(
            f"episode.reflection_prompt is {given!r}; it must be null, one of {names}, or 'text:' and your own words."
        )


def reflection_words(given: str, restated: str) -> str:
    """The words of a checked value: a template and how to act, or the user's own words and nothing else.

    >>> reflection_words("brief", " As before, answer.")
    'Reflect on your answer, search for what is missing, and improve it. As before, answer.'
    >>> reflection_words("text: Look again.", " As before, answer.")
    'Look again.'
    """
    return given.removeprefix(_OWN).strip() if given.startswith(_OWN) else REFLECTION_PROMPTS[given] + restated
