"""What a job cleans up behind itself."""

import time
from collections.abc import Iterator
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import pytest

from mrsearch.jobs.cluster import _free_shared_memory

SHARED = Path("/dev/shm")

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="this system keeps no shared memory in /dev/shm")


@pytest.fixture
def segment() -> Iterator[SharedMemory]:
    made = SharedMemory(create=True, size=64)
    yield made
    made.close()
    (SHARED / made.name).unlink(missing_ok=True)


def test_shared_memory_in_use_stays(segment: SharedMemory) -> None:
    _free_shared_memory(since=time.time() - 60)
    assert (SHARED / segment.name).exists()


def test_shared_memory_of_the_dead_is_freed(segment: SharedMemory) -> None:
    segment.close()
    _free_shared_memory(since=time.time() - 60)
    assert not (SHARED / segment.name).exists()


def test_shared_memory_from_before_the_job_stays(segment: SharedMemory) -> None:
    segment.close()
    _free_shared_memory(since=time.time() + 60)
    assert (SHARED / segment.name).exists()
