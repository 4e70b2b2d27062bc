"""Fixtures of the meta-episode's tests."""

import pytest

from .support import FAMILIES


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    """Each family of tokenisers and chat templates in turn."""
    name: str = request.param
    return name
