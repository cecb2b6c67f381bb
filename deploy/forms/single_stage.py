"""The base class of forms of networks that find every person as the peak of a map, with displacements to the
keypoints: single-stage poses."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from ..contract.parse import require
from ..contract.port import Arrays
from ..contract.skeleton import Skeleton
from ..system.errors import IncompatibleError
from .form import Contract, ImageForm, Run
from .keypoints import averaged

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class SingleStage(ImageForm):
    """Maps of all people in an image. With `flip` the mirrored image runs too, and the maps of both are averaged."""

    flip: bool = False

    task: ClassVar[str] = "pose"
    mirrors_canvas: ClassVar[bool] = True
    has_keypoints: ClassVar[bool] = True

    def for_skeleton(self, skeleton: Skeleton) -> Self:
        return replace(self, flip=self.flip and bool(skeleton.pairs))

    def check(self, skeleton: Skeleton | None) -> None:
        require(skeleton is not None, "skeleton", "keypoints")

    def maps(self, runs: Sequence[Run], card: Contract) -> Arrays:
        """The maps of one image by name, those of both views averaged.

        Raises IncompatibleError if the number of displacements differs from that of the skeleton's keypoints.
        """
        assert card.skeleton is not None
        plain, *others = (run.outputs for run in sorted(runs, key=lambda run: run.mirrored))
        order = np.array(card.skeleton.mirrored(), np.int64)
        if (count := len(plain["displacements"])) != len(order):
            raise IncompatibleError(
                f"the model gives {count} displacements, its Card's skeleton has {len(order)} keypoints; "
                "the file was changed after its export; export it again"
            )
        maps = {output.name: plain[output.name] for output in self.outputs if output.name in plain}
        for other in others:
            for output in self.outputs:
                if output.mirror is None or output.name not in maps:
                    continue
                given, back = maps[output.name][None], other[output.name][None]
                swapped = order if output.mirror.swaps else np.arange(given.shape[1], dtype=np.int64)
                maps[output.name] = averaged(given, back, output.mirror, swapped, self.shift_of(output.name))[0]
        return maps

    def shift_of(self, output: str) -> float:
        """How many cells the map of the mirrored view is moved to the right."""
        return 0.0


def peaks(heatmap: Floats, kernel: int, least: float, count: int) -> NDArray[np.int64]:
    """The cells (n,) of the `count` highest maxima of a map (h, w) above `least`, the highest first.

    A maximum is not exceeded within `kernel` px around it. A cell is y * w + x. Of equal maxima the first is taken.
    """
    filled = np.where(np.isfinite(heatmap), heatmap, -np.inf).astype(np.float32)
    highest = cv2.dilate(filled, np.ones((kernel, kernel), np.uint8))
    cells = np.flatnonzero((filled == highest) & (filled > least))
    return cells[np.argsort(-filled.ravel()[cells], kind="stable")[:count]]


def at_cells(maps: Floats, cells: NDArray[np.int64]) -> Floats:
    """The values (n, ...) of maps (..., h, w) at cells (n,)."""
    return np.moveaxis(maps.reshape(*maps.shape[:-2], -1)[..., cells], -1, 0)


def positions(cells: NDArray[np.int64], width: int) -> Floats:
    """The positions (n, 2) xy of cells (n,) of a map of this width."""
    return np.stack((cells % width, cells // width), -1).astype(np.float32)
