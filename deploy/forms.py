"""What a network's own outputs mean: one dataclass for each form, told apart by `kind`.

n batch, a anchors, k keypoints or peaks; every output is float32 but for labels. A file in `decode/` reads each.
"""

from dataclasses import dataclass
from typing import Literal

from .parse import require

HeatmapMethod = Literal[
    "argmax", "quarter", "parabola", "paraboloid", "dark", "udp", "megvii", "second_peak", "gaussfit", "integral"
]


@dataclass(frozen=True)
class DenseDecode:
    """One prediction per anchor of a pyramid: `boxes` (n, a, 4) and `scores` (n, a, classes).

    There may be a `quality` (n, a) or (n, a, classes) from 0 to 1, and `visible` (n, a, 4), boxes of what can be seen
    of each object. Predictions are ordered level by level with the given strides, row by row, `anchors` in every cell.
    Of every level the `top_k` best are kept: "pairs" of anchor and class, or "points", which are anchors with all their
    classes.
    """

    strides: tuple[int, ...]
    anchors: int = 1
    top_k: int = 1000
    unit: Literal["pairs", "points"] = "pairs"
    kind: Literal["dense"] = "dense"

    def __post_init__(self) -> None:
        require(bool(self.strides) and all(s >= 1 for s in self.strides), "decode.strides", "positive strides")
        require(1 <= self.anchors <= 1000, "decode.anchors", "1..1000")
        require(1 <= self.top_k <= 100_000, "decode.top_k", "1..100000")

    def level_sizes(self, height: int, width: int) -> list[int]:
        """How many predictions every level has on a canvas of this size."""
        return [((height + s - 1) // s) * ((width + s - 1) // s) * self.anchors for s in self.strides]


@dataclass(frozen=True)
class PeakDecode:
    """The best peaks of a heatmap of centres: `boxes` (n, k, 4), `scores` (n, k) and `labels` (n, k)."""

    kind: Literal["peaks"] = "peaks"


@dataclass(frozen=True)
class CornerDecode:
    """The best peaks of two heatmaps of corners, which are paired at run time.

    `points` (n, k, 2) xy, `scores`, `labels` and `tags` (n, k), each as `tl_*` for top-left and `br_*` for bottom-right
    corners. Two corners of one label make a box where their tags differ by `tag_distance` at most; the `top_k` best
    go on. Corners beyond the image's "origin" are moved there before that, as in mmdet, or boxes are cut at the
    "image" after it, as the authors do. With `flip` the mirrored image runs too, and what both give is suppressed
    together.
    """

    tag_distance: float = 0.5
    top_k: int = 1000
    cut: Literal["origin", "image"] = "origin"
    flip: bool = False
    kind: Literal["corners"] = "corners"

    def __post_init__(self) -> None:
        require(self.tag_distance >= 0, "decode.tag_distance", "0 or more")
        require(1 <= self.top_k <= 100_000, "decode.top_k", "1..100000")


@dataclass(frozen=True)
class HeatmapDecode:
    """One map for each keypoint of the person in a crop: `heatmaps` (n, k, h, w).

    `method` names a rule of `decode.heatmap`. Some smooth first, with a Gaussian kernel of `blur` px; "gaussfit" fits a
    Gaussian of `sigma` px; "integral" is the mean place under a softmax of `beta` times the map, without the bias that
    the softmax's floor brings where `debias` (Gu et al., arXiv 2107.13788). Maps have the value `scale` at a keypoint
    that is sure. With `flip` the mirrored crop runs too and both maps are averaged, or the coordinates of "integral",
    the mirrored ones moved right by `shift` px.
    A pose's quality is the mean of its keypoint scores above `visible`, or of all where that is null.
    """

    method: HeatmapMethod = "quarter"
    blur: int = 11
    sigma: float = 2.0
    beta: float = 1.0
    debias: bool = False
    scale: float = 1.0
    flip: bool = True
    shift: float = 0.0
    visible: float | None = 0.2
    kind: Literal["heatmap"] = "heatmap"

    def __post_init__(self) -> None:
        require(self.blur % 2 == 1 and 1 <= self.blur <= 63, "decode.blur", "an odd number of px, 1..63")
        require(0 < self.sigma <= 64, "decode.sigma", "px above 0, 64 at most")
        require(0 < self.beta <= 1e4, "decode.beta", "a factor above 0")
        require(1e-4 <= self.scale <= 1e4, "decode.scale", "0.0001..10000")
        require(0 <= self.shift <= 1, "decode.shift", "0..1 px")


@dataclass(frozen=True)
class OffsetDecode:
    """A disc around each keypoint, in it where that lies: `heatmaps` (n, k, h, w) and `offsets` (n, k, 2, h, w).

    UDP (Huang et al., arXiv 1911.07524, section 3.3): the best pixel of the map, smoothed with a Gaussian kernel of
    `blur` px, and its offset xy times `radius` px, smoothed with one of `offset_blur`. `flip` and `visible` as in
    HeatmapDecode.
    """

    radius: float
    blur: int = 23
    offset_blur: int = 1
    flip: bool = True
    visible: float | None = 0.2
    kind: Literal["offsets"] = "offsets"

    def __post_init__(self) -> None:
        require(0 < self.radius <= 1024, "decode.radius", "px above 0")
        for name in ("blur", "offset_blur"):
            value = getattr(self, name)
            require(value % 2 == 1 and 1 <= value <= 63, f"decode.{name}", "an odd number of px, 1..63")


@dataclass(frozen=True)
class HoughDecode:
    """Every pixel of a disc votes for its keypoint: `heatmaps` (n, k, h, w) from 0 to 1, `offsets` (n, k, 2, h, w) px.

    G-RMI (Papandreou et al., arXiv 1701.01779, equation 1) with discs of `radius` px. `flip` and `visible` as in
    HeatmapDecode.
    """

    radius: float
    flip: bool = True
    visible: float | None = None
    kind: Literal["hough"] = "hough"

    def __post_init__(self) -> None:
        require(0 < self.radius <= 1024, "decode.radius", "px above 0")


@dataclass(frozen=True)
class SimccDecode:
    """Each coordinate as a choice among bins, `split` of them a px: `x` (n, k, w * split), `y` (n, k, h * split).

    SimCC (Li et al., arXiv 2107.03332). The best bin, or with `dark`, kernel sizes in x and y, what DARK makes of the
    smoothed bins around it. `flip` and `visible` as in HeatmapDecode.
    """

    split: float = 2.0
    dark: tuple[int, int] | None = None
    flip: bool = True
    visible: float | None = 0.2
    kind: Literal["simcc"] = "simcc"

    def __post_init__(self) -> None:
        require(0 < self.split <= 16, "decode.split", "bins a px, above 0")
        is_odd = self.dark is None or all(k % 2 == 1 and 1 <= k <= 255 for k in self.dark)
        require(is_odd, "decode.dark", "two odd numbers of bins, 1..255")


@dataclass(frozen=True)
class TagDecode:
    """Keypoints of all people and who they belong to: `heatmaps` and `tags`, both (n, k, h, w).

    Associative embedding (Newell et al., arXiv 1611.05424): the `top_k` best peaks of each map, those above
    `least_peak`, are grouped by their tags, keypoint by keypoint in the given `order`; a tag farther than
    `tag_distance` from all others starts a new person. With `flip` the mirrored image runs too; `scales` are the sizes
    at which the image runs, tags come from 1. `rule` says how keypoints are moved off their pixels, and missing ones
    looked for: "higherhrnet" as its authors and mmpose 0.x have it, "mmpose" as 1.x.
    """

    order: tuple[int, ...]
    top_k: int = 30
    least_peak: float = 0.1
    tag_distance: float = 1.0
    flip: bool = True
    scales: tuple[float, ...] = (1.0,)
    rule: Literal["higherhrnet", "mmpose"] = "higherhrnet"
    kind: Literal["tags"] = "tags"

    def __post_init__(self) -> None:
        require(sorted(self.order) == list(range(len(self.order))), "decode.order", "every keypoint once")
        require(1 <= self.top_k <= 1000, "decode.top_k", "1..1000")
        require(self.tag_distance > 0, "decode.tag_distance", "a positive number")
        require(1.0 in self.scales and all(0.1 <= s <= 8 for s in self.scales), "decode.scales", "0.1..8, 1 among them")


CropDecode = HeatmapDecode | OffsetDecode | HoughDecode | SimccDecode
"""Of networks that see one person in a crop."""

Decode = DenseDecode | PeakDecode | CornerDecode | CropDecode | TagDecode
"""What a network's own outputs mean."""


@dataclass(frozen=True)
class GraphDecode:
    """Suppression runs inside the file: `boxes` (n, m, 4), `scores` and `labels` (n, m), `num` (n,)."""

    kind: Literal["graph"] = "graph"
