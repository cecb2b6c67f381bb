"""Export of a network and its Card to one ONNX file, verified against PyTorch."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import Exported, export

__all__ = ["Exported", "export"]


def __getattr__(name: str) -> Any:
    # Import on first use, so that detexport --help does not wait for PyTorch.
    if name in __all__:
        from . import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
