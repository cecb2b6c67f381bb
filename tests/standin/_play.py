"""Makes a module's names: `_network.py`, `_builder.py` and `_runtime.py`, each with those before it."""

import runpy
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def play(module: str, version: str) -> dict[str, Any]:
    """The names of a module of that version."""
    names: dict[str, Any] = {"MODULE": module, "VERSION": version, "HERE": str(HERE)}
    for part in ("_network", "_builder", "_runtime"):
        played = runpy.run_path(str(HERE / f"{part}.py"), names)
        names = {name: value for name, value in played.items() if not name.startswith("__")}
    return names
