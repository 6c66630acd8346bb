"""What a chapter's kernel does not take over from whoever builds: settings, and the home's state.

A result is the same for all only where no start-up file, configuration or kernel of a user has a
part in it. What is meant for all of a user's programs (paths, threads, devices) stays.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

DROPPED = (
    *("PYTHONSTARTUP", "PYTHONOPTIMIZE", "PYTHONINSPECT", "PYTHONWARNINGS", "PYTHONDEVMODE"),
    *("PYTHONIOENCODING", "JUPYTER_PATH", "JUPYTER_CONFIG_PATH"),
)
"""Variables that a kernel must not see: with PYTHONOPTIMIZE, for one, no assertion is checked."""

_FOLDERS = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")


def isolate(scratch: Path) -> None:
    """Change the environment of this process, which its kernel inherits.

    Parameters
    ----------
    scratch : Path
        Empty folder, there as long as the kernel.
    """
    for name in DROPPED:
        os.environ.pop(name, None)
    os.environ.update({name: str(scratch / name) for name in _FOLDERS})
    # of two kernels with one name that of this environment, not one in the user's home
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    matplotlib = importlib.util.find_spec("matplotlib")
    if matplotlib is None or matplotlib.origin is None:
        return
    os.environ["MATPLOTLIBRC"] = str(Path(matplotlib.origin).parent / "mpl-data" / "matplotlibrc")
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    # Where it cannot keep its list of fonts it would say so on the page.
    if not all(map(can_be_made, _matplotlib_folders())):
        os.environ["MPLCONFIGDIR"] = str(scratch / "matplotlib")


def _matplotlib_folders() -> list[Path]:
    if given := os.environ.get("MPLCONFIGDIR"):
        return [Path(given)]
    home = Path(os.path.expanduser("~"))
    return [
        Path(os.environ.get(variable) or home / default)
        for variable, default in (("XDG_CONFIG_HOME", ".config"), ("XDG_CACHE_HOME", ".cache"))
    ]


def can_be_made(folder: Path) -> bool:
    """Whether a folder is there, or can be made, and can be written to."""
    there = next((place for place in (folder, *folder.parents) if place.exists()), None)
    return there is not None and there.is_dir() and os.access(there, os.W_OK)
