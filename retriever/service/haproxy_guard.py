"""Runs HAProxy for Ray Serve, and amends what Ray's own way of running it lacks; a script, see `ray_cluster`.

HAProxy ends with the process that started it, also where that was killed: it would go on listening. Its statistics,
which Ray lets every machine read, are for this one only.

Run: python haproxy_guard.py HAPROXY -f CONFIGURATION …
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PORTS = ("RAY_SERVE_HAPROXY_STATS_PORT", "RAY_SERVE_HAPROXY_METRICS_PORT")


def main() -> None:
    """Becomes HAProxy."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    configuration = Path(sys.argv[sys.argv.index("-f") + 1])
    ports = "|".join(os.environ[name] for name in _PORTS)
    text = configuration.read_text(encoding="utf-8")
    configuration.write_text(re.sub(rf"\bbind \*?:({ports})$", r"bind 127.0.0.1:\1", text, flags=re.M), "utf-8")
    os.execv(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
