"""Every operator, merged by explicit import: an operator is one folder plus one line here."""

from typing import Any

import onnx

from .bezier_align import op as bezier_align
from .border_align import op as border_align
from .core.node import function
from .corner_pool import op as corner_pool
from .deform_conv import op as deform_conv
from .deform_roi_pool import op as deform_roi_pool
from .dfl import op as dfl
from .lstm import op as lstm
from .nms import op as nms
from .prroi_pool import op as prroi_pool
from .roi_align import op as roi_align

OPERATORS = (
    bezier_align,
    border_align,
    corner_pool,
    deform_conv,
    deform_roi_pool,
    dfl,
    lstm,
    nms,
    prroi_pool,
    roi_align,
)

TRANSLATIONS: dict[Any, Any] = {key: value for operator in OPERATORS for key, value in operator.TRANSLATIONS.items()}
"""The exporter of each torch operator."""

OWN = {key for operator in OPERATORS if hasattr(operator, "FUNCTIONS") for key in operator.TRANSLATIONS}
"""The torch operators that become nodes of ours, and not of the standard."""

FUNCTIONS: dict[str, onnx.FunctionProto] = {
    (made := function(text)).name: made for operator in OPERATORS for text in getattr(operator, "FUNCTIONS", ())
}
"""The ONNX functions of our nodes, by node name."""

FLOAT_INPUTS: dict[str, tuple[int, ...]] = {
    name: places for operator in OPERATORS for name, places in getattr(operator, "FLOAT_INPUTS", {}).items()
}
"""The positions of the inputs that a node takes in float32, even if the others are in half precision."""

REFERENCES: dict[str, Any] = {
    name: call for operator in OPERATORS for name, call in getattr(operator, "REFERENCES", {}).items()
}
"""The torch operator of each node. It takes the node's inputs, and its attributes by name."""
