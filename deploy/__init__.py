"""The runtime: runs exported models on images. Imports neither torch nor onnx."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .loader import load
    from .pipelines.crops import PoseEstimator
    from .pipelines.detector import Detector
    from .pipelines.top_down import TopDown
    from .results.instances import Instances

__all__ = ["Detector", "Instances", "PoseEstimator", "TopDown", "load"]

_HOMES = {
    "Detector": "pipelines.detector",
    "Instances": "results.instances",
    "PoseEstimator": "pipelines.crops",
    "TopDown": "pipelines.top_down",
    "load": "loader",
}


def __getattr__(name: str) -> Any:
    # Imported on first use, so that --help does not wait for NumPy and OpenCV.
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
