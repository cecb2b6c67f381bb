"""Sets of allowed values that Cards, options and commands share."""

from typing import Literal

Precision = Literal["fp32", "fp16", "bf16", "int8"]
"""The precision in which a file computes."""

HeatmapMethod = Literal[
    "argmax", "quarter", "parabola", "paraboloid", "dark", "udp", "megvii", "second_peak", "gaussfit", "integral"
]
"""The methods that decode a heatmap; `forms.heatmaps` describes them."""

SUPPRESSION = {
    "boxes": ("hard", "average", "covered", "linear", "gaussian", "guided", "merger", "visible", "set", "none"),
    "poses": ("oks", "oks_linear", "oks_gaussian", "none"),
    "polygons": ("polygons", "hard", "linear", "gaussian", "none"),
    "rotated boxes": ("locality", "polygons", "hard", "linear", "gaussian", "none"),
}
"""The kinds of suppression, by what they compare."""
