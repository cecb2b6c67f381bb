"""The parameters of the suppression of duplicates."""

from dataclasses import dataclass

from .choices import SUPPRESSION
from .parse import require

READS = {"guided": "quality", "merger": "quality", "visible": "visible", "set": "proposals"}
"""The additional output that a kind of suppression reads."""


@dataclass(frozen=True)
class Suppress:
    """The rule that selects detections: a score above `conf`, no duplicates, at most `max_det` per image.

    "hard" is NMS at `iou`. "average" is NMS, and each box that is left becomes the mean of the candidates of its class
    with an IoU of at least 0.5, weighted by their scores (box voting: Gidaris and Komodakis, arXiv 1505.01749, section
    4). Soft-NMS (Bodla et al., arXiv 1704.04503) multiplies scores by a factor instead: "linear" by
    1 - IoU if the IoU is at least `iou`, "gaussian" by exp(-IoU^2 / `sigma`). It drops scores that are not above
    `floor`, or `conf` if `floor` is None.
    "covered" removes a box if a better one covers more than the share `iou` of it (LFFD: He et al., arXiv 1904.10633);
    what both share counts the last pixel, the box does not.
    "guided" is IoU-guided NMS (Jiang et al., arXiv 1807.11590, algorithm 1), for networks that predict a quality.
    "merger" is the EM-Merger (Goldman et al., arXiv 1904.00853, section 4.2), for objects side by side: the best
    detection of each hill of detections, by the mean of score and quality, a predicted IoU. The authors' `iou` is 0.3.
    "visible" is R2NMS (Huang et al., arXiv 2003.12729): NMS by the IoU of visible boxes, if the network predicts them.
    "set" is NMS that keeps all boxes of one proposal (Chu et al., arXiv 2003.09163, section 3.4).
    "polygons" is NMS by the IoU of polygons or rotated boxes, at `iou`. "locality" is locality-aware NMS (EAST: Zhou et
    al., arXiv 1704.03155, section 3.5): rotated boxes of neighbouring pixels that overlap by more than `iou` become
    their mean, weighted by their scores; NMS follows.
    Poses are compared by OKS: "oks" is NMS at `oks`; "oks_linear" and "oks_gaussian" are soft-NMS.

    With `voting` each box that is left becomes the mean of the candidates of its class that it overlaps, weighted by
    their scores and by exp(-(1 - IoU)^2 / 0.025) (PAA: Kim and Lee, arXiv 2007.08103, equation 9).

    Only detections of the same class are compared, or all of them with `class_agnostic`. With `inclusive`, overlaps
    count a box's last pixel, as frameworks did before 2020: sides are x2 - x1 + 1. With `ghosts`, boxes around several
    others of their class lose half their score afterwards (Zhou et al., arXiv 1901.08043, section 4.3). With `clips`,
    boxes are clipped to the image last, as in Detectron2's RetinaNet; the form then clips none before.
    """

    kind: str = "hard"
    conf: float = 0.25
    iou: float = 0.6
    max_det: int = 100
    inclusive: bool = False
    sigma: float = 0.5
    oks: float = 0.9
    class_agnostic: bool = False
    floor: float | None = None
    voting: bool = False
    ghosts: bool = False
    clips: bool = False

    @property
    def dropped(self) -> float:
        """The score at or below which soft-NMS drops a detection."""
        return self.conf if self.floor is None else self.floor

    def __post_init__(self) -> None:
        kinds = dict.fromkeys(kind for kinds in SUPPRESSION.values() for kind in kinds)
        require(self.kind in kinds, "suppress.kind", " or ".join(kinds))
        require(self.sigma > 0, "suppress.sigma", "a positive number")
        for name in ("conf", "iou", "oks"):
            require(0.0 <= getattr(self, name) <= 1.0, f"suppress.{name}", "0..1")
        require(0.0 <= self.dropped <= 1.0, "suppress.floor", "0..1")
        require(1 <= self.max_det <= 100_000, "suppress.max_det", "1..100000")
