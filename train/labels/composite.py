"""Composite fields of PifPaf (Kreiss et al., arXiv 1903.06593, section 3): vectors to keypoints and to limbs' ends.

`people` (n, k, 3) are xy in px of the map and a visibility; a keypoint counts if that is above 0. `sigmas` (k,) are
COCO's. A person's size is the root of the area around the visible keypoints. Where no label is, the confidence is 0
and all else NaN. `spread` is the least that a network may claim, in px of the map.
"""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

_SIDE, _LIMB_SIDE = 4, 3
"""Of the square of cells around a keypoint, and around a point of a limb, that learn it."""


def intensity_fields(people: Tensor, sigmas: Tensor, size: tuple[int, int], spread: float = 0.0125) -> Tensor:
    """Fields (k, 5, h, w): confidence, the vector xy from the cell to the keypoint, spread, and the keypoint's scale.

    Where two people's squares overlap, the nearer keypoint counts.
    """
    cells = _cells(people, size)
    fields = _unlabelled(people.shape[1], 5, cells)
    for keypoint, field in enumerate(fields):
        nearest = torch.full_like(cells[0], torch.inf)
        for person, scale in _scaled(people):
            if person[keypoint, 2] > 0:
                point = person[keypoint, :2]
                way = point[:, None, None] - cells
                chosen = _square(point, _SIDE, cells) & ((distance := way.norm(dim=0)) < nearest)
                nearest[chosen] = distance[chosen]
                _draw(field, chosen, way, spread, scale * sigmas[keypoint])
    return fields


def association_fields(
    people: Tensor, limbs: Sequence[tuple[int, int]], sigmas: Tensor, size: tuple[int, int], spread: float = 0.0125
) -> Tensor:
    """Fields (limbs, 9, h, w): confidence, vectors xy to the first and the second keypoint, two spreads, two scales.

    A limb is learned in its middle: a quarter is left out at each end, of short limbs up to 0.4. Where limbs overlap,
    the nearer line counts.
    """
    cells = _cells(people, size)
    fields = _unlabelled(len(limbs), 9, cells)
    for field, ends in zip(fields, map(list, limbs), strict=True):
        nearest = torch.full_like(cells[0], torch.inf)
        for person, scale in _scaled(people):
            start, end = person[ends, :2]
            along = end - start
            length = float(along.norm())
            if length > 0 and (person[ends, 2] > 0).all():
                margin = min(max(1.5 / length, 0.25), 0.4)
                steps = torch.linspace(margin, 1 - margin, max(2, math.ceil(length)))
                inside = torch.stack([_square(start + step * along, _LIMB_SIDE, cells) for step in steps]).any(0)
                ways = person[ends, :2, None, None] - cells
                distance = (along[0] * ways[0, 1] - along[1] * ways[0, 0]).abs() / length
                chosen = inside & (distance < nearest)
                nearest[chosen] = distance[chosen]
                _draw(field, chosen, ways.flatten(0, 1), spread, scale * sigmas[ends])
    return fields


def _cells(people: Tensor, size: tuple[int, int]) -> Tensor:
    """The positions (2, h, w) xy of the cells."""
    y, x = (torch.arange(count, dtype=people.dtype, device=people.device) for count in size)
    return torch.stack(torch.meshgrid(x, y, indexing="xy"))


def _unlabelled(count: int, channels: int, cells: Tensor) -> Tensor:
    fields = cells.new_full((count, channels, *cells.shape[1:]), torch.nan)
    fields[:, 0] = 0
    return fields


def _scaled(people: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Each person of whom something is visible, with a size in px of the map."""
    for person in people:
        visible = person[person[:, 2] > 0, :2]
        if len(visible):
            yield person, (visible.amax(0) - visible.amin(0)).prod().sqrt()


def _square(point: Tensor, side: int, cells: Tensor) -> Tensor:
    """Whether each cell lies in the square of `side` cells whose middle is nearest to the point: (h, w) bool."""
    low = (point - (side - 1) / 2).round()[:, None, None]
    return ((cells >= low) & (cells < low + side)).all(0)


def _draw(field: Tensor, chosen: Tensor, ways: Tensor, spread: float, scales: Tensor) -> None:
    """Write a label into the chosen cells: the ways (2 or 4, h, w) and as many spreads and scales as ways."""
    field[0, chosen] = 1
    field[1 : 1 + len(ways), chosen] = ways[:, chosen]
    field[-2 * scales.numel() : -scales.numel(), chosen] = spread
    field[-scales.numel() :, chosen] = scales.reshape(-1, 1)
