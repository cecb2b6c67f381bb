"""The words that Cards, options and commands share."""

from typing import Literal

Precision = Literal["fp32", "fp16", "bf16", "int8"]
"""What a file calculates in."""

HeatmapMethod = Literal[
    "argmax", "quarter", "parabola", "paraboloid", "dark", "udp", "megvii", "second_peak", "gaussfit", "integral"
]
"""The rules by which a heatmap is read; `forms.heatmaps` explains them."""

SUPPRESSION = {
    "boxes": ("hard", "linear", "gaussian", "guided", "visible", "none"),
    "poses": ("oks", "oks_linear", "oks_gaussian", "none"),
}
"""The kinds of suppression, by what they compare."""
