"""`mrsearch doctor`: what this machine has, what each recipe needs, and what to do about the difference."""

import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import psutil
from omegaconf import DictConfig
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mrsearch.errors import UserError
from mrsearch.jobs.machine import check_machine, detect_platform
from mrsearch.verl_plugin.recipes import compose_recipe, recipe_names
from retriever.errors import RetrieverError
from retriever.indexes.java import find_java

_GIB = 2**30
_PACKAGES = {
    "torch": "2.13",
    "verl": "0.9.1",
    "vllm": "0.28",
    "ray": "2.60",
    "transformers": "5.10",
    "pyserini": "1.6",
    "faiss-cpu": "1.15",
}
"""What the pinned stack has; on GPUs verl 0.9.1 goes with vllm 0.24 and torch 2.11."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; `remedy` says what to do where it is not in order, which need not be where `optional`."""

    what: str
    found: str
    remedy: str | None = None
    optional: bool = False

    @property
    def mark(self) -> str:
        if self.remedy is None:
            return "[green]✓[/]"
        return "[yellow]–[/]" if self.optional else "[red]✗[/]"


def examine(console: Console) -> int:
    """Prints all findings; returns 1 where something is missing, else 0."""
    findings = [*_machine(), *_packages(), *_recipes()]
    table = Table("", "found", "what to do", title="mrsearch doctor")
    for finding in findings:
        table.add_row(f"{finding.mark} {finding.what}", escape(finding.found), escape(finding.remedy or ""))
    console.print(table)
    return int(any(finding.remedy and not finding.optional for finding in findings))


def _machine() -> Iterator[Finding]:
    supported = (3, 11) <= sys.version_info[:2] <= (3, 12)
    yield Finding("Python", platform.python_version(), None if supported else "Install Python 3.11 or 3.12.")
    yield _tried("Java", _java)
    memory = psutil.virtual_memory()
    yield Finding("memory", f"{memory.available / _GIB:.1f} GiB free of {memory.total / _GIB:.1f}")
    yield Finding("cores", str(psutil.cpu_count()))
    yield Finding("accelerator", _accelerator())


def _java() -> str:
    java = find_java()
    return f"{java.version} ({java.home})"


def _accelerator() -> str:
    import torch

    if detect_platform() == "cpu":
        return "none; the platform is cpu"
    return ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))


def _packages() -> Iterator[Finding]:
    for name, wanted in _PACKAGES.items():
        try:
            found = version(name)
        except PackageNotFoundError:
            yield Finding(name, "not installed", "Run `make test`, which installs the pinned environment.")
            continue
        close = found.startswith(wanted) or detect_platform() != "cpu"
        yield Finding(name, found, None if close else f"The pinned stack has {wanted}; run `make clean test`.")


def _recipes() -> Iterator[Finding]:
    for name in recipe_names():
        try:
            config = compose_recipe(name)
        except UserError as error:
            yield Finding(f"recipe {name}", "broken", str(error))
            continue
        yield Finding(f"recipe {name}", f"needs {_needs(config)}", _lacks(config), optional=_gpus(config) > 0)


def _gpus(config: DictConfig) -> int:
    return int(config.trainer.n_gpus_per_node) if config.mrsearch.platform == "cuda" else 0


def _needs(config: DictConfig) -> str:
    settings, gpus = config.mrsearch, _gpus(config)
    memory = f"{settings.memory_gib:g} GiB of memory"
    if not gpus:
        return memory
    machines = f" on each of {config.trainer.nnodes} machines" if config.trainer.nnodes > 1 else ""
    return f"{memory} and {gpus} GPU{'s' * (gpus > 1)} of {settings.gpu_memory_gib:g} GiB{machines}"


def _lacks(config: DictConfig) -> str | None:
    if config.mrsearch.ray_address:
        return "Start a Ray cluster of these machines first."
    try:
        check_machine(config)
    except UserError as error:
        return str(error)
    return None


def _tried(what: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(what, look())
    except RetrieverError as error:
        return Finding(what, "missing", str(error))
