"""The runtime: preprocess, backend, decode, fuse, suppress, restore. Imports neither torch nor onnx."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bottom_up import BottomUp
    from .detector import Detector
    from .instances import Instances
    from .loader import load
    from .pose import PoseEstimator, TopDown

__all__ = ["BottomUp", "Detector", "Instances", "PoseEstimator", "TopDown", "load"]

_HOMES = {
    "BottomUp": "bottom_up",
    "Detector": "detector",
    "Instances": "instances",
    "PoseEstimator": "pose",
    "TopDown": "pose",
    "load": "loader",
}


def __getattr__(name: str) -> Any:
    # Loaded on first use, so that a command's --help does not wait for NumPy and OpenCV.
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
