"""The decoders' own floors: `python -m detforge.train.labels` draws keypoints as labels, and reads these as results.

A network that learned its labels perfectly would still be off by so much. Errors are in px of the map, or of the input
for bins, over 2000 random points that lie 8 px or more inside.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import Tensor

from ...deploy.contract.port import Arrays
from ...deploy.forms import Heatmaps, Offsets, Simcc
from ...deploy.forms.keypoints import KeypointForm
from ...models.skeletons import unlinked
from .bins import gaussian_bins
from .coarse_to_fine import KERNELS, LAST_KERNELS, PEAK, blurred_maps
from .discs import disc_maps
from .heatmaps import quantised_maps, unbiased_maps, windowed_maps

SIZE = (64, 48)
MARGIN = 8
RADIUS = 3.5
_COUNT = 2000


def floors() -> Iterator[tuple[str, str, NDArray[np.float32]]]:
    """Each label and decoder, by name, with the distances (2000,) of what is read from what was drawn, px."""
    points = torch.from_numpy(np.random.default_rng(0).uniform(MARGIN, np.subtract(SIZE[::-1], MARGIN), (_COUNT, 2)))
    points = points.float()
    for name, draw, methods in (
        ("Gaussian at the cell", quantised_maps, ("argmax", "quarter", "dark")),
        ("Gaussian at the point", unbiased_maps, ("argmax", "quarter", "parabola", "paraboloid", "dark", "gaussfit")),
        ("Gaussian at the point, 3 sigma", windowed_maps, ("udp",)),
    ):
        for method in methods:
            yield name, method, _errors(_maps(draw(points, SIZE)), Heatmaps(method), points)
    discs, offsets = disc_maps(points, SIZE, RADIUS)
    both = {"heatmaps": discs[None].numpy(), "offsets": offsets[None].numpy()}
    yield "disc and offsets", "offsets", _errors(both, Offsets(RADIUS), points)
    for kernel in sorted({*KERNELS, *LAST_KERNELS}, reverse=True):
        maps = _maps(blurred_maps(points, SIZE, kernel))
        yield f"blurred cell, {kernel} px", "megvii", _errors(maps, Heatmaps("megvii", blur=5, scale=PEAK), points)
    bins = {
        axis: gaussian_bins(points[None, :, i], 2 * side, 6.0).numpy()
        for i, (axis, side) in enumerate(zip("xy", SIZE[::-1], strict=True))
    }
    yield "bins, 2 a px", "simcc", _errors(bins, Simcc(), points)


def _maps(maps: Tensor) -> Arrays:
    return {"heatmaps": maps[None].numpy()}


def _errors(outputs: Arrays, form: KeypointForm, points: Tensor) -> NDArray[np.float32]:
    skeleton = unlinked(tuple(map(str, range(len(points)))))
    parts, _ = form.parts(outputs, None, skeleton, SIZE, spacing=False)
    return np.linalg.norm(parts[0] * SIZE[::-1] - points.numpy(), axis=1)


def main() -> None:
    """Print the table."""
    table = Table("label", "decoder", "mean px", "largest px")
    for label, decoder, errors in floors():
        table.add_row(label, decoder, f"{errors.mean():.4f}", f"{errors.max():.4f}")
    Console().print(table)


if __name__ == "__main__":
    main()
