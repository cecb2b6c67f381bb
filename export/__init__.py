"""Export of a network and its Card to one ONNX file, verified against PyTorch, and adoption of foreign ONNX files."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .adoption.adopt import adopt
    from .api import Exported, export

__all__ = ["Exported", "adopt", "export"]

_MODULES = {"Exported": ".api", "adopt": ".adoption.adopt", "export": ".api"}


def __getattr__(name: str) -> Any:
    # Import on first use, so that detexport --help does not wait for PyTorch.
    if name in _MODULES:
        return getattr(import_module(_MODULES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
