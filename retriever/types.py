"""The passage, in the corpus and ranked, and the one textual form in which passages are stored and served."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Document:
    """One passage of a corpus."""

    id: str
    title: str
    text: str

    def to_json(self) -> str:
        """The canonical line of this passage: an ASCII JSON object with `id` and `contents`."""
        return json.dumps({"id": self.id, "contents": join_contents(self.title, self.text)})


@dataclass(frozen=True, slots=True)
class Passage:
    """One ranked passage; `score` is larger for better matches and comparable only within one query."""

    id: str
    title: str
    text: str
    score: float

    @property
    def contents(self) -> str:
        """Title and text in Search-R1's form, `"Title"\\ntext`."""
        return join_contents(self.title, self.text)


def join_contents(title: str, text: str) -> str:
    """Returns `"title"\\ntext`; line breaks inside the title become spaces."""
    return f'"{" ".join(title.splitlines())}"\n{text}'


def split_contents(contents: str) -> tuple[str, str]:
    """Splits contents into title (first line, without its surrounding double quotes) and text.

    Contents of a single line hold no title.
    """
    first, newline, text = contents.partition("\n")
    if not newline:
        return "", contents
    title = first.strip()
    if len(title) >= 2 and title[0] == title[-1] == '"':
        title = title[1:-1]
    return title, text
