"""Loaded by verl itself in every process that imports it, through the entry point group `verl.plugins`."""

import mrsearch.verl_plugin.cpu.platform  # noqa: F401  registers the platform "cpu"
