"""Tokens and keys: taken from the environment, kept out of errors and logs."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from urllib.parse import quote_plus

from retriever.errors import BadRequest


def read_secret(variable: str) -> str | None:
    """The secret that an environment variable holds, without white space around it; None where there is none.

    Raises:
        BadRequest: it holds a character that cannot travel in an HTTP header.
    """
    return check_secret(os.environ.get(variable, "").strip(), variable) or None


def check_secret(secret: str, name: str) -> str:
    """Returns a secret that can travel in an HTTP header.

    Raises:
        BadRequest: this one cannot; the text does not tell it.
    """
    if not (secret.isascii() and secret.isprintable()):
        raise BadRequest(f"{name} must be printable ASCII characters; copy it again.")
    return secret


# Those of httpx and httpcore that tell the addresses of requests and the headers of answers.
_LOGGERS = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.proxy")


class Redaction(logging.Filter):
    """Takes secrets out of texts and, between `install` and `remove`, out of what httpx logs."""

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__()
        self._forms = [form for secret in secrets for form in (secret, quote_plus(secret))]

    def __call__(self, text: str) -> str:
        """The text with `***` for each secret."""
        for form in self._forms:
            text = text.replace(form, "***")
        return text

    def install(self) -> None:
        """Redacts the log from now on; may be called again."""
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(self)

    def remove(self) -> None:
        """Leaves the log as it is."""
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self(record.getMessage()), ()
        return True
