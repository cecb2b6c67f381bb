"""Heatmaps of the keypoints of the person in a crop."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from .. import _native
from ..contract.choices import HeatmapMethod
from ..contract.parse import FieldError, require
from ..contract.port import Arrays
from .form import Mirror, Output
from .keypoints import Floats, KeypointForm, averaged


@dataclass(frozen=True)
class Heatmaps(KeypointForm):
    """One heatmap for each keypoint: `heatmaps` (n, k, h, w).

    `method` is how a map is decoded. Some methods smooth the map first with a Gaussian kernel of `blur` px. "gaussfit"
    fits a Gaussian of `sigma` px. "integral" takes the expectation under a softmax of `beta` times the map; with
    `debias` the bias of the softmax's background is removed (Gu et al., arXiv 2107.13788). `scale` is the value of a
    map at a certain keypoint. With `flip` the maps of both views are averaged, or with "integral" the coordinates;
    those of the mirrored view are moved right by `shift` px.

    | method | position |
    |---|---|
    | argmax | the first largest pixel |
    | quarter | the largest pixel, moved by 0.25 px towards the larger neighbour on each axis |
    | parabola | the vertex of the parabola through three pixels on each axis |
    | paraboloid | the vertex of the least-squares paraboloid of 3x3 pixels |
    | dark | a Newton step on the logarithm of the smoothed map (Zhang et al., arXiv 1910.06278) |
    | udp | like dark, with derivatives over one pixel (Huang et al., arXiv 1911.07524) |
    | megvii | like quarter on the smoothed map, plus 0.5 px: mmpose's MSPN (Li et al., arXiv 1901.00148) |
    | second_peak | like megvii, but towards the second largest pixel of the smoothed map, as MSPN's authors do |
    | gaussfit | the centre of the least-squares Gaussian, of f log f in f, f x, f y, f x^2 and f y^2 |
    | integral | the expectation under a softmax (Sun et al., arXiv 1711.08229); every score is 1 |

    `rule` "mmpose0" is that of mmpose 0.x: "quarter" moves only peaks that are away from the border on both axes, and
    "udp" mirrors maps beyond the border and does not rescale smoothed ones.

    The score is the map's largest value / `scale`. A map without a value above 0 gives the keypoint (-1, -1). "megvii"
    and "second_peak" add 0.5 to the score; "second_peak" takes the map's value at the keypoint.
    """

    method: HeatmapMethod = "quarter"
    blur: int = 11
    sigma: float = 2.0
    beta: float = 1.0
    debias: bool = False
    scale: float = 1.0
    shift: float = 0.0
    rule: Literal["mmpose", "mmpose0"] = "mmpose"
    kind: Literal["heatmap"] = "heatmap"

    outputs: ClassVar[tuple[Output, ...]] = (Output("heatmaps", "map", "range", mirror=Mirror()),)

    def __post_init__(self) -> None:
        require(self.blur % 2 == 1 and 1 <= self.blur <= 63, "form.blur", "an odd number of px, 1..63")
        require(0 < self.sigma <= 64, "form.sigma", "px above 0, 64 at most")
        require(0 < self.beta <= 1e4, "form.beta", "a factor above 0")
        require(1e-4 <= self.scale <= 1e4, "form.scale", "0.0001..10000")
        require(0 <= self.shift <= 1, "form.shift", "0..1 px")

    def overridden(self, option: str, value: Any) -> Self:
        if option != "decode" or value == self.method:
            return super().overridden(option, value)
        if value not in get_args(HeatmapMethod):
            raise FieldError(f"unknown method '{value}'; choose {', '.join(get_args(HeatmapMethod))}")
        # The kernel fits the sigma of the labels: 11 px for a sigma of 2 px, 17 px for 3 px, as the authors do.
        blur = max(3, int(6 * self.sigma - 2) // 2 * 2 + 1) if value in ("dark", "udp") else self.blur
        return replace(self, method=value, blur=blur)

    def points(self, outputs: Arrays, mirrored: Arrays | None, order: NDArray[np.int64]) -> tuple[Floats, Floats]:
        maps = outputs["heatmaps"]
        if mirrored is None:
            return self._peaks(maps)
        other = mirrored["heatmaps"]
        if self.method != "integral":
            [output] = self.outputs
            assert output.mirror is not None
            return self._peaks(averaged(maps, other, output.mirror, order, self.shift))
        # Coordinates are averaged instead of maps, because softmax is not linear.
        points, scores = self._peaks(maps)
        back = self._peaks(other)[0][:, order]
        back[..., 0] = maps.shape[3] - 1 - back[..., 0] + self.shift
        return (points + back) * np.float32(0.5), scores

    def _peaks(self, maps: Floats) -> tuple[Floats, Floats]:
        points, scores = _native.heatmap_peaks(
            maps, self.method, self.blur, self.sigma, self.beta, self.debias, self.scale, self.rule == "mmpose0"
        )
        return points.reshape(*maps.shape[:2], 2), scores.reshape(maps.shape[:2])
