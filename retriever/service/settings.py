"""How a service behaves, whichever front it stands behind."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from retriever.errors import BadRequest

TOKEN_VARIABLE = "RETRIEVER_TOKEN"


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Settings of one service.

    Attributes:
        max_batch: the most queries in one engine call.
        max_waiting: the most queries waiting for the engine; beyond it requests are answered with status 503.
        cache_passages: how many passages the answers kept for repeated queries may hold together; 0 keeps none.
        max_body_bytes: the largest request body.
        token: what requests must carry as `Authorization: Bearer TOKEN`; None lets everyone in.
        access_log: writes one JSON object per request to standard error.
    """

    max_batch: int = 512
    max_waiting: int = 16_384
    cache_passages: int = 50_000
    max_body_bytes: int = 16 * 2**20
    token: str | None = field(default=None, repr=False)
    access_log: bool = False

    def __post_init__(self) -> None:
        for name, least in (("max_batch", 1), ("max_waiting", 1), ("cache_passages", 0), ("max_body_bytes", 1)):
            if getattr(self, name) < least:
                raise BadRequest(f"{name} must be at least {least}, found {getattr(self, name)}.")


def read_token(file: Path | None) -> str | None:
    """The token of a file, else of the environment variable `RETRIEVER_TOKEN`; None where neither is given.

    It has no place on the command line, where every user of the machine could read it.

    Raises:
        BadRequest: the file cannot be read, or the token is not one line of printable ASCII without spaces.
    """
    source, token = str(file), os.environ.get(TOKEN_VARIABLE)
    if file is None:
        source = TOKEN_VARIABLE
    else:
        try:
            token = file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise BadRequest(f"{file} cannot be read ({error}); give a file that holds the token.") from error
    if token is not None and (not token or not all("!" <= char <= "~" for char in token)):
        raise BadRequest(f"{source} must hold one token of printable ASCII characters without spaces.")
    return token
