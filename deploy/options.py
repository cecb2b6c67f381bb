"""Options that override a Card: the keywords of `load()` and the flags of the commands."""

import argparse
from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any

from .contract.choices import SUPPRESSION
from .system.flags import names, number, option, whole

_KINDS = tuple(dict.fromkeys(kind for kinds in SUPPRESSION.values() for kind in kinds))
_METHODS = ("argmax", "quarter", "parabola", "paraboloid", "dark", "udp", "gaussfit", "integral")
_PART = number(0, 1)


@dataclass(frozen=True)
class Options:
    """Values that override those of the Card; None keeps the Card's value.

    `fusion` is the exponent a of score ** a * quality ** (1 - a), for models that predict a quality. `decode` is the
    method that reads heatmaps. `flip` turns the flip test on or off, for models that support it. `scales` are those at
    which a bottom-up network runs. `classes` are the labels to keep.
    """

    conf: float | None = option("score threshold, 0..1", type=_PART, metavar="P")
    iou: float | None = option("NMS threshold, 0..1", type=_PART, metavar="P")
    max_det: int | None = option("maximum detections per image", type=whole(1, 100_000), metavar="N")
    fusion: float | None = option("score^A * quality^(1-A), 0..1", type=_PART, metavar="A")
    nms: str | None = option(
        "kind of suppression; those with oks compare poses, polygons and locality compare outlines", choices=_KINDS
    )
    sigma: float | None = option("width of the Gaussian of soft suppression", type=number(1e-6, 1e6), metavar="S")
    decode: str | None = option("how heatmaps become keypoints", choices=_METHODS)
    flip: bool | None = option("also run the mirrored image and merge both", action=argparse.BooleanOptionalAction)
    scales: tuple[float, ...] | None = option("scales at which a bottom-up network runs")
    classes: Collection[str] | None = option("keep only these classes", type=names, metavar="A,B")

    def given(self) -> dict[str, Any]:
        """The options that are not None, by name."""
        return {each.name: value for each in fields(self) if (value := getattr(self, each.name)) is not None}
