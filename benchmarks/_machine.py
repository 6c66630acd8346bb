"""What the benchmarks say of the machine they ran on."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import version
from pathlib import Path


def processor() -> str:
    """Model name of the processor, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":")[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def peak_mib() -> float:
    """Largest resident size of this process so far, in MiB."""
    import resource  # there is none on Windows

    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (2**20 if sys.platform == "darwin" else 2**10)


def versions(*libraries: str) -> dict[str, str]:
    """Versions of Python and of some libraries."""
    return {"python": platform.python_version()} | {name: version(name) for name in libraries}
