"""The runtime: preprocess, backend, decode, fuse, suppress, restore. Imports neither torch nor onnx."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .instances import Instances
    from .pipeline import Detector, load

__all__ = ["Detector", "Instances", "load"]


def __getattr__(name: str) -> Any:
    # Loaded on first use, so that a command's --help does not wait for NumPy and OpenCV.
    if name == "Instances":
        from .instances import Instances

        return Instances
    if name in __all__:
        from . import pipeline

        return getattr(pipeline, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
