"""Paths of the compiled operator libraries. Imports no dependency, so that the runtime can use it."""

import sys
from pathlib import Path

from ... import plugins

REINSTALL = "pip install --force-reinstall detforge"
WITH_NVCC = f"CUDACXX=.../nvcc {REINSTALL}"
"""Commands that build missing libraries; the second one also builds those for GPUs."""

_SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")


def library(name: str) -> Path | None:
    """The path of the library `name`, such as "detforge_ort", or None if it was not built."""
    file = f"{'' if sys.platform == 'win32' else 'lib'}{name}{_SUFFIX}"
    folders = (Path(folder) for folder in plugins.__path__)  # an editable install has two: sources and built files
    return next((path for folder in folders if (path := folder / file).is_file()), None)
