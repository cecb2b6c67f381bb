"""Runs the operators on regions on goldens, whose boxes are rows (image, x1, y1, x2, y2)."""

from typing import Any

import numpy as np
import torch
from ladder import buffer

from detforge.plugins.core.abi import Call, Library
from detforge.plugins.core.libraries import library
from detforge.plugins.operators import REFERENCES


def one_box_per_image(x: np.ndarray, rois: np.ndarray) -> list[np.ndarray]:
    """The inputs of a node of one level, with an image for each row."""
    boxes = np.ascontiguousarray(rois[:, None, 1:])
    return [np.ascontiguousarray(x[rois[:, 0].astype(int)]), boxes, boxes]


def by_torch(op: str, inputs: list[np.ndarray], attributes: dict[str, Any]) -> np.ndarray:
    return REFERENCES[op](*map(torch.from_numpy, inputs), **attributes).numpy()


def by_c_function(op: str, inputs: list[np.ndarray], attributes: dict[str, Any]) -> np.ndarray:
    path = library("detforge_cpu")
    assert path is not None
    call = Call(op, "float32", [buffer(x) for x in inputs], attributes)
    y = np.empty(Library(path).shape(call), np.float32)
    Library(path).run_cpu(call, buffer(y))
    return y
