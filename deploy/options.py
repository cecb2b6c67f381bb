"""What a caller may change of a Card: the one list behind `load()`'s keywords and the commands' flags."""

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
    """What differs from the Card; None leaves it as it is there.

    `fusion` is the exponent a of score ** a * quality ** (1 - a), for models that predict a quality. `decode` reads
    heatmaps by another method. `flip` says whether the mirrored image runs too, for models that merge both. `scales`
    are the sizes at which a bottom-up network runs. `classes` are labels.
    """

    conf: float | None = option("least score, 0..1", type=_PART, metavar="P")
    iou: float | None = option("NMS threshold, 0..1", type=_PART, metavar="P")
    max_det: int | None = option("most detections an image", type=whole(1, 100_000), metavar="N")
    fusion: float | None = option("score^A * quality^(1-A), 0..1", type=_PART, metavar="A")
    nms: str | None = option("suppression; oks compares poses", choices=_KINDS)
    sigma: float | None = option("width of the Gaussian of soft suppression", type=number(1e-6, 1e6), metavar="S")
    decode: str | None = option("how heatmaps become keypoints", choices=_METHODS)
    flip: bool | None = option("merge with the mirrored image", action=argparse.BooleanOptionalAction)
    scales: tuple[float, ...] | None = option("the sizes at which a bottom-up network runs")
    classes: Collection[str] | None = option("only these classes", type=names, metavar="A,B")

    def given(self) -> dict[str, Any]:
        """The options that are not None, by name."""
        return {each.name: value for each in fields(self) if (value := getattr(self, each.name)) is not None}
