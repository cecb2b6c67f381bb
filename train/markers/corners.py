"""Crops of generated symbols and the positions of their corners, for a network that sees one symbol per crop.

Corners are named by their position in the image, so a rotation or a mirror image only changes their names. As in the
rest of the pose code, the centre of the first pixel is at 0. Outlines are in continuous px: the centre of the first
pixel is at 0.5.
"""

import multiprocessing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch import Tensor

from ...deploy.inputs.crop import Crop, fill_warped
from ...deploy.inputs.network_inputs import ImageInput
from .scene import compose

SIZES = (416, 624, 832, 1040)
"""Sides of the scenes, px."""
STRIDE = 4
"""Stride of the network's maps, px of the crop."""

_LARGEST = 480  # px; larger surroundings are reduced with the runtime's resize
_TIE = 0.6  # ratio of errors from which two orders of the corners are ambiguous: 38 degrees for a square
_REACH = 1.0  # surroundings kept on every side of a symbol's centre, in its longer sides

Corners = NDArray[np.float32]
Batch = tuple[Tensor, Tensor, Tensor, Tensor]
"""Images (n, 3, h, w), corners (n, 4, 2) xy in px of the maps, their weights (n, 4), and ties (n,): the shift of the
corner order that fits about equally well."""


@dataclass(frozen=True)
class Marker:
    """A symbol and its surroundings: image (h, w, 3) uint8 BGR, box (4,) xyxy px, corners (4, 2) in the order of the
    outline, and whether each corner is `seen` (4,)."""

    image: NDArray[np.uint8]
    box: NDArray[np.float32]
    corners: Corners
    seen: NDArray[np.bool_]


def named(corners: Corners) -> tuple[NDArray[np.int64], int]:
    """The indices of the top left, top right, bottom right and bottom left corner among the corners (4, 2).

    Of the four clockwise orders, the one whose corners lie closest to those of the bounding box, by the sum of squared
    distances. Also returns the shift, 1 or 3, to the second best order, or 0 if that is clearly worse.
    """
    (x1, y1), (x2, y2) = corners.min(0), corners.max(0)
    places = np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)])
    around = np.arange(4)
    ahead = np.roll(corners, -1, 0)
    if (corners[:, 0] * ahead[:, 1] - corners[:, 1] * ahead[:, 0]).sum() < 0:
        around = around[::-1]
    ways = [np.roll(around, -turn) for turn in range(4)]
    costs = np.array([((corners[way] - places) ** 2).sum() for way in ways])
    best, second = np.argsort(costs, kind="stable")[:2]
    is_tie = costs[best] > _TIE * costs[second]
    return ways[best], int(second - best) % 4 if is_tie else 0


def draw_markers(path: Path, scenes: int, seed: int) -> Sequence[Marker]:
    """The symbols of `scenes` scenes, drawn into the folder `path`, or read from it if it exists.

    Scene i depends only on (seed, i). Its size is one of SIZES in turn.
    """
    pixels_file, table_file = path / f"corners-{seed}-{scenes}.bin", path / f"corners-{seed}-{scenes}.npz"
    if not table_file.exists():
        path.mkdir(parents=True, exist_ok=True)
        rows: list[tuple[NDArray[np.float32], ...]] = []
        # Spawn, because a fork of a process in which PyTorch has threads may deadlock.
        with multiprocessing.get_context("spawn").Pool() as pool, pixels_file.open("wb") as file:
            drawn = pool.imap(_draw, [(seed, i, SIZES[i % len(SIZES)]) for i in range(scenes)], chunksize=8)
            for markers in track(drawn, "drawing", total=scenes, console=Console(stderr=True)):
                for marker in markers:
                    rows.append((np.float32(marker.image.shape[:2]), marker.box, marker.corners, marker.seen))
                    file.write(marker.image.tobytes())
        sides, boxes, corners, seen = (np.array(column) for column in zip(*rows, strict=True))
        np.savez(table_file, sides=sides.astype(np.int64), boxes=boxes, corners=corners, seen=seen)
    pixels, table = np.memmap(pixels_file, np.uint8, "r"), np.load(table_file)
    sides, boxes, corners, seen = (table[name] for name in ("sides", "boxes", "corners", "seen"))
    ends = np.cumsum(3 * sides.prod(1))
    images = [pixels[end - 3 * h * w : end].reshape(h, w, 3) for end, (h, w) in zip(ends, sides, strict=True)]
    return [Marker(*each) for each in zip(images, boxes, corners, seen, strict=True)]


def _draw(key: tuple[int, int, int]) -> list[Marker]:
    cv2.setNumThreads(1)  # There is one process per core.
    seed, index, size = key
    scene = compose(np.random.default_rng((seed, index)), size)
    columns = zip(scene.boxes, scene.corners - np.float32(0.5), scene.seen, strict=True)
    return [_surroundings(Marker(scene.image, *each)) for each in columns]


def _surroundings(marker: Marker) -> Marker:
    """The part of the scene that a crop of the marker may show, at most 480 px per side."""
    low, high = marker.box[:2], marker.box[2:]
    reach = _REACH * (high - low).max()
    left, top = np.maximum(np.floor((low + high) / 2 - reach), 0).astype(int)
    right, bottom = np.minimum(np.ceil((low + high) / 2 + reach), marker.image.shape[1::-1]).astype(int)
    image = marker.image[top:bottom, left:right]
    factor = min(1.0, _LARGEST / max(image.shape[:2]))
    size = (round(image.shape[1] * factor), round(image.shape[0] * factor))
    scale = np.float32(size) / np.float32(image.shape[1::-1])
    origin = np.float32((left, top))
    box = ((marker.box.reshape(2, 2) - origin) * scale).ravel()
    corners = (marker.corners + np.float32(0.5) - origin) * scale - np.float32(0.5)
    image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    return replace(marker, image=np.ascontiguousarray(image), box=box, corners=corners)


def batches(markers: Sequence[Marker], spec: ImageInput, size: int, sides: Sequence[int], seed: int) -> Iterator[Batch]:
    """Endless shuffled batches of crops, cut as in the runtime from boxes as a detector may predict them.

    Every batch has one of `sides`, so that the network learns all of them. Crops are rotated by right angles, mirrored
    and tinted.
    """
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(len(markers))
        for start in range(0, len(order) - size + 1, size):
            side = sides[int(rng.integers(len(sides)))]
            chosen = [markers[i] for i in order[start : start + size]]
            images, parts = cut(chosen, [jittered(rng, one.box) for one in chosen], spec, side)
            for i in range(size):
                images[i], parts[i] = _turned(rng, images[i], parts[i])
            yield labelled(_tinted(rng, images), parts, np.stack([one.seen for one in chosen]))


def cut(
    markers: Sequence[Marker], boxes: Sequence[NDArray[np.float32]], spec: ImageInput, side: int
) -> tuple[NDArray[np.float32], Corners]:
    """Normalised crops (n, 3, side, side), one per box, and the corners (n, 4, 2) as fractions of the crop."""
    assert isinstance(spec.place, Crop)
    place = replace(spec.place, size=(side, side))
    canvases = np.empty((len(markers), 3, side, side), np.float32)
    parts = np.empty((len(markers), 4, 2), np.float32)
    for i, (marker, box) in enumerate(zip(markers, boxes, strict=True)):
        crop = place.of_box(box, (marker.image.shape[0], marker.image.shape[1]))
        fill_warped(canvases[i : i + 1], marker.image, [crop], spec.pixels)
        parts[i] = (marker.corners - crop.centre) / crop.size + 0.5
    return canvases, parts


def jittered(rng: np.random.Generator, box: NDArray[np.float32]) -> NDArray[np.float32]:
    """The box (4,) as a detector may predict it: sides some percent off, and sometimes much too large or small."""
    low, high = box[:2], box[2:]
    centre, half = (low + high) / 2, (high - low) / 2 * np.exp(np.clip(rng.normal(0, 0.08), -0.25, 0.25))
    off = np.clip(rng.normal(0, 0.04, (2, 2)), -0.12, 0.12) * half
    return np.concatenate((centre - half + off[0], centre + half + off[1])).astype(np.float32)


def labelled(images: NDArray[np.float32], parts: Corners, seen: NDArray[np.bool_]) -> Batch:
    """The batch of crops with outline corners `parts` (n, 4, 2), as fractions of the crop, sorted by name."""
    steps = images.shape[-1] // STRIDE - 1  # from the first to the last px of the maps, as with Crop.spacing
    orders, ties = zip(*(named(outline) for outline in parts), strict=True)
    order = np.stack(orders)
    corners = np.take_along_axis(parts, order[..., None], 1)
    inside = ((corners >= 0) & (corners <= 1)).all(-1)
    weights = (np.take_along_axis(seen, order, 1) & inside).astype(np.float32)
    arrays = (images, corners * np.float32(steps), weights, np.array(ties, np.int64))
    return tuple(torch.from_numpy(np.ascontiguousarray(each)) for each in arrays)


def _turned(
    rng: np.random.Generator, image: NDArray[np.float32], parts: Corners
) -> tuple[NDArray[np.float32], Corners]:
    """Rotate counter-clockwise by a random number of right angles, and mirror with probability 1/2."""
    for _ in range(int(rng.integers(4))):
        image, parts = np.rot90(image, axes=(1, 2)), np.stack((parts[:, 1], 1 - parts[:, 0]), 1)
    if rng.random() < 0.5:
        image, parts = image[..., ::-1], np.stack((1 - parts[:, 0], parts[:, 1]), 1)
    return image.copy(), parts


def _tinted(rng: np.random.Generator, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Change colours and contrast, differently for each image."""
    shape = (len(images), 3, 1, 1)
    gains = rng.uniform(0.75, 1.25, (len(images), 1, 1, 1)) * rng.uniform(0.9, 1.1, shape)
    return images * gains.astype(np.float32) + rng.normal(0, 0.2, shape).astype(np.float32)
