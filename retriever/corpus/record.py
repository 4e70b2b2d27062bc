"""What a passage of a corpus file must hold, whatever the form of the file."""

from __future__ import annotations

import json
from typing import Any

from retriever.errors import BadCorpus
from retriever.types import Document, split_contents

FIELDS = ("id", "contents", "title", "text")
ACCEPTED = 'string fields "id" and "contents", or "id", "title" and "text"'


def parse_record(record: dict[str, Any], where: str) -> Document:
    """The passage of a record of one of the two accepted forms; further fields are ignored.

    An id may be a whole number too and then stands for its decimal digits: 7 and "7" are the same id. Line breaks
    in a title become spaces.

    Raises:
        BadCorpus: the sentence starts with `where`, the file and line or row.
    """
    identifier = _identifier(record, where)
    if not identifier.strip():
        raise BadCorpus(f'{where}: field "id" is empty; it must be a non-empty string.')
    if "contents" in record:
        title, text = split_contents(_string(record, "contents", where))
    elif "title" in record or "text" in record:
        title, text = _string(record, "title", where), _string(record, "text", where)
    else:
        raise BadCorpus(f'{where}: missing field "contents"; a passage has {ACCEPTED}.')
    if not title.strip() and not text.strip():
        raise BadCorpus(f"{where}: the passage has neither title nor text; at least one must be non-empty.")
    return Document(identifier, " ".join(title.splitlines()), text)


def _identifier(record: dict[str, Any], where: str) -> str:
    value = record.get("id")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _string(record, "id", where, accepted="a string or a whole number")


def _string(record: dict[str, Any], field: str, where: str, accepted: str = "a string") -> str:
    if field not in record:
        raise BadCorpus(f'{where}: missing field "{field}"; a passage has {ACCEPTED}.')
    value = record[field]
    if not isinstance(value, str):
        found = json.dumps(value, default=repr)[:40]
        raise BadCorpus(f'{where}: field "{field}" must be {accepted}, found {found}.')
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise BadCorpus(f'{where}: field "{field}" has an unpaired surrogate; use valid Unicode.') from error
    return value
