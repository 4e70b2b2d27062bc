"""Attempts and answers in stored text, where no record says which words the policy wrote (see SCORING.md)."""

import re

from mrsearch.episode.prompts import PROMPTS
from mrsearch.episode.reflection_prompts import REFLECTION_PROMPTS
from mrsearch.episode.tool_prompts import TOOL_PROMPTS

_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)

# A user message and the opening of the assistant's message that follows, as ChatML, as Llama-3, and as both look when
# they were decoded without special tokens (Llama-3 then has no line end before a role). Each alternative captures what
# the message says.
_USER = r"""
    (?: <\|im_start\|>user\n (.*?) <\|im_end\|>\s* <\|im_start\|>assistant\n
      | <\|start_header_id\|>user<\|end_header_id\|>\s* (.*?) <\|eot_id\|>\s*
        <\|start_header_id\|>assistant<\|end_header_id\|>
      | (?:\A|(?<=[\n>]))user\n ((?:(?![\n>]user\n).)*?) \n?assistant\n )
"""
_MARKED_GROUPS = 2
_SYSTEM = r"""
    (?: \s | <\|(?:begin_of_text|endoftext|end_of_text|finetune_right_pad_id)\|> | <s> | <pad>
      | <\|im_start\|>system\n .*? <\|im_end\|>
      | <\|start_header_id\|>system<\|end_header_id\|> .*? <\|eot_id\|>
      | system\n (?:(?!\nuser\n).)* (?=\nuser\n) )*
"""
# Search-R1's instructions hold two pairs of answer tags of their own.
_SEARCH_R1 = r"Answer\ the\ given\ question\. .*? <answer>\ Beijing\ </answer>\.\s*Question:[^\n]*"

_USER_MESSAGE = re.compile(_USER, re.DOTALL | re.VERBOSE)
_FIRST_PROMPT = re.compile(rf"\A {_SYSTEM} (?: {_USER} | {_SEARCH_R1} )", re.DOTALL | re.VERBOSE)
_DOCUMENTS = re.compile(r"<information>(?:(?!<information>).)*?</information>", re.DOTALL)
_OBSERVATION = re.compile(r"\s*<(?:information|tool_response)>")
_WORDS = (*PROMPTS.values(), *TOOL_PROMPTS.values())
_NOTES = frozenset(note.strip() for words in _WORDS for note in (words.invalid, words.after_reflection))
_OUR_REQUESTS = frozenset(
    request.strip()
    for words in _WORDS
    for request in (words.reflection, words.step, *(named + words.restated for named in REFLECTION_PROMPTS.values()))
)
_ASKS_AGAIN = re.compile(
    r"""\b(?: reflect\ on\ (?:your|the|this|what)
            | improved?\ (?:(?:your|the|my)\ )?(?:(?:current|previous|last)\ )?answer
            | (?:try|answer)\ (?:again|anew)
            | (?:reconsider|rethink|revise)\ your )\b""",
    re.IGNORECASE | re.VERBOSE,
)


def answer_of(text: str) -> str | None:
    """The answer that Search-R1's scorer reads: what the last pair of answer tags holds, without outer space.

    Pairs are found from the left, each from an opening tag to the nearest closing one, whoever wrote them.

    >>> answer_of("<answer> a <answer> b </answer> c </answer>")
    'a <answer> b'
    """
    answers = _ANSWER.findall(text)
    return answers[-1].strip() if answers else None


def split_attempts(response: str) -> list[str]:
    r"""Cuts a response into the texts of its attempts, at the user messages that ask for another one.

    Prompts belong to no attempt: neither the first one, if the response begins with it (Search-R1's, or any user
    message of a chat template), nor those between attempts. What stands inside of documents cuts nothing, nor do
    user messages that bring an observation or one of our notes. There is always at least one attempt.

    >>> split_attempts("<answer> a </answer>\nuser\nReflect and improve.\nassistant\n<answer> b </answer>")
    ['<answer> a </answer>\n', '<answer> b </answer>']
    """
    documents = [match.span() for match in _DOCUMENTS.finditer(response)]
    first = _FIRST_PROMPT.match(response)
    start = first.end() if first else 0
    attempts = []
    for message in _USER_MESSAGE.finditer(response, start):
        inside = any(begin <= message.start() < end for begin, end in documents)
        if not inside and _asks_for_an_attempt(message):
            attempts.append(response[start : message.start()])
            start = message.end()
    return [*attempts, response[start:]]


def _asks_for_an_attempt(message: re.Match[str]) -> bool:
    said = message[message.lastindex or 0]
    if _OBSERVATION.match(said) or said.strip() in _NOTES:
        return False
    if (message.lastindex or 0) <= _MARKED_GROUPS:
        return True
    # Models that ramble on after their answer write lines that say "user", too, but do not ask themselves to reflect.
    return said.strip() in _OUR_REQUESTS or bool(_ASKS_AGAIN.search(said))
