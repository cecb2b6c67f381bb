"""Lines of text between Bezier curves, with what is written in them, as in ABCNet (Liu et al., arXiv 2002.10200)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ..columns.polygons import Polygons
from ..columns.text import Text
from ..contract.parse import require
from ..inputs.geometry import Size
from ..results.instances import Instances
from .boxes import has_area, in_image, largest_shift
from .form import Contract, ImageForm, Output, Run

POINTS = 20
"""The corners of a polygon on either curve."""
ENDS = (0, 3, 4, 7)
"""The control points at the ends of the curves."""


@dataclass(frozen=True)
class Spotted(ImageForm):
    """Suppressed lines of text: `boxes` (n, m, 4) px, `scores` (n, m), `curves` (n, m, 16), `num` (n,), and `symbols`.

    The curves are x and y px of 8 control points around the line: 4 of its upper side from left to right, and 4 of its
    lower side back. `symbols` (n, m, s) are places in the `alphabet`, in the order of reading, with the probabilities
    `symbol_scores` (n, m, s); other numbers mean that nothing is written there. The score of a text is the mean of the
    probabilities of its symbols, and 0 if it is empty. Rows from `num` to m are padding.
    """

    alphabet: str
    kind: Literal["spotted"] = "spotted"

    task: ClassVar[str] = "text spotting"
    # Each symbol depends on those before it, so that one that rounding decides may change the rest of a line.
    outputs: ClassVar[tuple[Output, ...]] = (
        Output("num"),
        Output("boxes", "overlap", "px", "detections", "place"),
        Output("scores", "overlap", group="detections", role="score"),
        Output("curves", "overlap", "px", "detections"),
        Output("symbols", "overlap", group="detections", jumps=0.02),
        Output("symbol_scores", "overlap", group="detections", jumps=0.02),
    )
    suppresses: ClassVar[bool] = True

    def __post_init__(self) -> None:
        # A character that ends a line would end it in text files too.
        require(bool(self.alphabet) and self.alphabet.isprintable(), "form.alphabet", "printable characters")

    def px(self, canvas: Size) -> float:
        return largest_shift(canvas)

    def find(self, runs: Sequence[Run], card: Contract) -> Instances:
        """The first `num` rows whose score exceeds `suppress.conf`. Curves that are not finite are dropped.

        The ends of curves are clipped to the image. Boxes are not: the network compares them as they are.
        """
        [run] = runs
        count = int(run.outputs["num"])
        names = ("boxes", "scores", "curves", "symbols", "symbol_scores")
        boxes, scores, curves, symbols, chances = (run.outputs[name][:count] for name in names)
        boxes = in_image(boxes, run.frame)
        kept = (scores > card.suppress.conf) & np.isfinite(curves).all(1) & has_area(boxes, card.suppress.inclusive)
        boxes, scores, curves, symbols, chances = (each[kept] for each in (boxes, scores, curves, symbols, chances))
        points = in_image(curves, run.frame).reshape(-1, 8, 2)
        points[:, ENDS] = np.clip(points[:, ENDS], 0, run.frame.content_size[::-1])
        polygons = Polygons.of(list(outlines(points)))
        lines = [self._line(*row) for row in zip(symbols, chances, strict=True)]
        text = Text.of([line for line, _ in lines], [score for _, score in lines])
        labels = np.zeros(len(scores), np.int64)
        found = Instances(boxes, scores, labels, card.labels, run.frame.extent)
        return found.with_columns(polygons, text)

    def _line(self, symbols: NDArray[Any], chances: NDArray[Any]) -> tuple[str, float]:
        is_written = (symbols >= 0) & (symbols < len(self.alphabet))
        text = "".join(self.alphabet[symbol] for symbol in symbols[is_written].astype(int).tolist())
        return text, float(chances[is_written].mean()) if text else 0.0


def outlines(points: NDArray[np.float32]) -> NDArray[np.float64]:
    """Control points (n, 8, 2) to polygons (n, 2 * POINTS, 2): along the upper side, then along the lower side back."""
    u = np.linspace(0, 1, POINTS)[:, None]
    weights = np.concatenate(((1 - u) ** 3, 3 * u * (1 - u) ** 2, 3 * u**2 * (1 - u), u**3), 1)
    sides = weights @ points.reshape(-1, 2, 4, 2).astype(np.float64)
    return sides.reshape(len(points), 2 * POINTS, 2)
