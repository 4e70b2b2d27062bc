"""Places that several rooms' tests use."""

import os

# Java uses SIGSEGV for itself: with the handler that Ray puts in its place, a process that has both dies.
os.environ.setdefault("RAY_DISABLE_FAILURE_SIGNAL_HANDLER", "1")


from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def quickstart_model() -> Path:
    """The committed warm start."""
    return PROJECT / "recipes" / "quickstart" / "model"


@pytest.fixture(scope="session")
def shared_qa() -> Path:
    """Real questions and passages; they lie beside the project and are no part of it."""
    folder = PROJECT.parent / "shared" / "qa"
    if not folder.is_dir():
        pytest.skip("the real questions (shared/qa) do not lie beside this project")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Side by side, the files that take longest go first, so that all end together."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: "stack" not in item.path.parts)
