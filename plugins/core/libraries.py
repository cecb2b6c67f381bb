"""Where the compiled libraries of the operators are. Imports nothing, so that the runtime may ask."""

import sys
from pathlib import Path

from ... import plugins

REINSTALL = "pip install --force-reinstall detforge"
WITH_NVCC = f"CUDACXX=.../nvcc {REINSTALL}"
"""What builds the libraries that are not there, and those among them for GPUs."""

_SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")


def library(name: str) -> Path | None:
    """The library `name`, such as "detforge_ort", beside this package; None where it was not built."""
    file = f"{'' if sys.platform == 'win32' else 'lib'}{name}{_SUFFIX}"
    folders = (Path(folder) for folder in plugins.__path__)  # an editable install has two: sources and built files
    return next((path for folder in folders if (path := folder / file).is_file()), None)
