"""Fixtures of the meta-episode's tests."""

import pytest

from mrsearch.episode import Chat

from .support import FAMILIES, chat_of


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    """Each family of tokenisers and chat templates in turn."""
    name: str = request.param
    return name


@pytest.fixture
def chat(family: str) -> Chat:
    return chat_of(family)[0]
