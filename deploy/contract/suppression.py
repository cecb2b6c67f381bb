"""The rule by which duplicates are suppressed."""

from dataclasses import dataclass

from .choices import SUPPRESSION
from .parse import require

READS = {"guided": "quality", "visible": "visible"}
"""The output that a kind of suppression reads beside boxes and scores."""


@dataclass(frozen=True)
class Suppress:
    """Which findings stay: those with a score above `conf`, without duplicates, at most `max_det` an image.

    "hard" is NMS at `iou`. Soft-NMS (Bodla et al., arXiv 1704.04503) lowers scores instead and drops what falls to
    `floor`, or where that is null to `conf`: "linear" by 1 - IoU from `iou` on, "gaussian" by exp(-IoU^2 / `sigma`).
    "guided" is IoU-guided NMS (Jiang et al., arXiv 1807.11590, algorithm 1), for networks that predict a quality.
    "visible" is R2NMS (Huang et al., arXiv 2003.12729): NMS by the IoU of the visible parts, for networks that predict
    those of people in a crowd.
    Poses are compared by OKS: "oks" is NMS at `oks`; "oks_linear" and "oks_gaussian" lower scores.

    Only findings of one class are compared, or with `class_agnostic` all. With `inclusive`, overlaps count a box's
    last pixel, as frameworks did before 2020: sides are x2 - x1 + 1.
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

    @property
    def dropped(self) -> float:
        """The score at which soft suppression drops."""
        return self.conf if self.floor is None else self.floor

    def __post_init__(self) -> None:
        kinds = dict.fromkeys(kind for kinds in SUPPRESSION.values() for kind in kinds)
        require(self.kind in kinds, "suppress.kind", " or ".join(kinds))
        require(self.sigma > 0, "suppress.sigma", "a positive number")
        for name in ("conf", "iou", "oks"):
            require(0.0 <= getattr(self, name) <= 1.0, f"suppress.{name}", "0..1")
        require(0.0 <= self.dropped <= 1.0, "suppress.floor", "0..1")
        require(1 <= self.max_det <= 100_000, "suppress.max_det", "1..100000")
