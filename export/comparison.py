"""What a comparison of two networks' outputs found, and how much it may find."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..deploy.card import Card, Parity, Precision
from ..deploy.system.errors import VerificationError


@dataclass(frozen=True)
class Tolerance:
    """How far the file may be from PyTorch: |difference| <= atol * unit + rtol * |value|, and the share of matches.

    The unit is 1 for scores and tags, and for the boxes of a point 8 of its strides, which is how far a side may lie
    from it: an error in the network's own terms grows by as much on its way to px. Codes of eight bits may be far
    off, seldom: with a `cosine` it is each output's cosine that counts, but for embeddings, and where there are true
    boxes the AP lost.
    So many detections as `slack` may miss their match beside the share, for that of a few says little.
    In half precision the share `outliers` of an output's values may exceed the tolerance: where a network chooses
    between two nearly equal values, as SABL between buckets, rounding decides.
    """

    atol: float
    rtol: float
    match_rate: float
    cosine: float | None = None
    ap_loss: float = 100.0
    slack: int = 0
    outliers: float = 0.0


TOLERANCES: dict[Precision, Tolerance] = {
    "fp32": Tolerance(1e-4, 1e-4, 0.99),
    "fp16": Tolerance(2e-2, 1e-2, 0.95, outliers=1e-2),
    "bf16": Tolerance(1e-1, 5e-2, 0.9, outliers=1e-2),
    "int8": Tolerance(1e-1, 5e-2, 0.75, 0.95, 1.0, slack=8),
}


@dataclass
class Difference:
    """What sets one output apart, at its worst over all runs."""

    max_abs: float = 0.0
    max_rel: float = 0.0
    cosine: float = 1.0
    excess: float = 0.0  # the share of the values that exceed the tolerance
    embedding: bool = False
    jumps: float = 0.0  # the share that may exceed it in any precision
    no_numbers: int = 0  # values that are NaN or infinite

    def add(self, got: NDArray[Any], expected: NDArray[Any], unit: Any, tolerance: Tolerance) -> None:
        """Take in one run; `unit` broadcasts against the arrays."""
        a, b = got.astype(np.float64), expected.astype(np.float64)
        self.no_numbers += int(a.size - np.isfinite(a).sum())
        if a.shape != b.shape or not np.isfinite(a).all():
            self.max_abs, self.max_rel, self.cosine, self.excess = _BROKEN, _BROKEN, -1.0, 1.0
            return
        distance, size = np.abs(a - b), np.abs(b)
        # Relative to at least a hundredth of the largest value: next to zero a ratio says nothing.
        floor = max(1e-2 * float(size.max(initial=0)), 1e-12)
        norms = float(np.linalg.norm(a) * np.linalg.norm(b))
        self.max_abs = max(self.max_abs, float(distance.max(initial=0)))
        self.max_rel = max(self.max_rel, float((distance / np.maximum(size, floor)).max(initial=0)))
        self.cosine = min(self.cosine, float((a * b).sum()) / norms if norms else float(not a.any() and not b.any()))
        allowed = tolerance.atol * unit + tolerance.rtol * size + 1e-12
        self.excess = max(self.excess, float((distance > allowed).sum()) / max(a.size, 1))


_BROKEN = 1e30
"""Stands for infinite, which JSON cannot hold."""


@dataclass
class Comparison:
    """The parity report: differences by output, and how the final detections of both sides match.

    `detections` counts those of both sides that were compared; box shifts are in model px. `ap` is PyTorch's and the
    file's, in percent, where the pictures came with true boxes.
    """

    tolerance: Tolerance
    outputs: dict[str, Difference] = field(default_factory=dict[str, Difference])
    runs: list[tuple[int, ...]] = field(default_factory=list[tuple[int, ...]])
    detections: int = 0
    matched: int = 0
    box_shift_px: float = 0.0
    score_shift: float = 0.0
    ap: tuple[float, float] | None = None

    def add(
        self,
        name: str,
        got: NDArray[Any],
        expected: NDArray[Any],
        unit: Any = 1.0,
        *,
        embedding: bool = False,
        jumps: float = 0.0,
    ) -> None:
        """Take in one run's output; `embedding` and `jumps` are those of its Output."""
        difference = self.outputs.setdefault(name, Difference(embedding=embedding, jumps=jumps))
        difference.add(got, expected, unit, self.tolerance)

    @property
    def match_rate(self) -> float:
        return self.matched / self.detections if self.detections else 1.0

    @property
    def problem(self) -> str | None:
        """What exceeds its tolerance, or None."""
        for name, difference in self.outputs.items():
            if difference.no_numbers:
                return f"{name} has {difference.no_numbers} values that are NaN or infinite"
            if self.tolerance.cosine is None or difference.embedding:
                if difference.excess > max(self.tolerance.outliers, difference.jumps):
                    share = f"{difference.excess:.2%} of its values exceed the tolerance"
                    return f"{name} differs by up to {difference.max_abs:.3g}; {share}"
            elif difference.cosine < self.tolerance.cosine:
                return f"the cosine of {name} is {difference.cosine:.4f}, below {self.tolerance.cosine}"
        lost = self.detections - self.matched - self.tolerance.slack
        if lost > 0 and lost / self.detections > 1 - self.tolerance.match_rate:
            return f"only {self.matched} of {self.detections} detections match"
        if self.ap is not None and self.ap[0] - self.ap[1] > self.tolerance.ap_loss:
            return f"AP falls from {self.ap[0]:.1f} to {self.ap[1]:.1f}, by more than {self.tolerance.ap_loss}"
        return None

    def remedy(self, precision: Precision) -> str:
        """What to do about the problem of a file of this precision."""
        if any(difference.no_numbers for difference in self.outputs.values()):
            if precision in ("fp16", "int8"):
                return "its numbers may outgrow this precision; export it in fp32, or in bf16 for OpenVINO"
            return "check the checkpoint"
        if precision == "int8":
            return "calibrate with more images like those it will see, or use --fp16"
        return "raise --atol and --rtol if that is acceptable"

    @property
    def parity(self) -> Parity:
        """The worst numbers, for the Card."""
        rows = self.outputs.values()
        return Parity(
            max(row.max_abs for row in rows),
            max(row.max_rel for row in rows),
            min(row.cosine for row in rows),
            self.detections,
            self.match_rate,
            self.box_shift_px,
            self.score_shift,
        )


class RejectedError(VerificationError):
    """The exported file disagrees with PyTorch: the Card that it was to have, and what the comparison found."""

    def __init__(self, message: str, card: Card, comparison: Comparison) -> None:
        super().__init__(message)
        self.card, self.comparison = card, comparison
