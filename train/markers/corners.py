"""Crops of generated symbols and where their corners are, for a network that sees one symbol in a crop.

Corners are called by where they lie in the image, so that a turn or a mirror only gives them other names, and are
positions as the rest of the pose code has them: px of which the first one's centre is 0. Outlines come as continuous
px, whose first centre is 0.5.
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
"""The sides of the scenes, px."""
STRIDE = 4
"""Px of the crop that a px of the network's maps stands for."""

_LARGEST = 480  # px; larger surroundings are reduced as the runtime reduces a photograph
_TIE = 0.6  # two names of a corner fit about equally well from here on: 38 degrees, for a square
_REACH = 1.0  # how much of its longer side is kept around a symbol's centre, to every side

Corners = NDArray[np.float32]
Batch = tuple[Tensor, Tensor, Tensor, Tensor]
"""Images (n, 3, h, w), corners (n, 4, 2) xy in px of the maps, their weights (n, 4), and (n,) by how many places the
names may as well be moved on."""


@dataclass(frozen=True)
class Marker:
    """A symbol and what surrounds it: image (h, w, 3) uint8 BGR, its box (4,) xyxy px, and corners (4, 2), in the order
    of the outline, of which some are not `seen` (4,)."""

    image: NDArray[np.uint8]
    box: NDArray[np.float32]
    corners: Corners
    seen: NDArray[np.bool_]


def named(corners: Corners) -> tuple[NDArray[np.int64], int]:
    """Which of the corners (4, 2) is the top left, top right, bottom right and bottom left one.

    Of the four ways to go around clockwise it is the one whose corners lie closest to those of the bounding box, by
    the sum of squared distances. Then by how many places, 1 or 3, the second best way is moved on from there, or 0
    where it is clearly worse.
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
    """The symbols of `scenes` scenes, drawn into the folder `path`, or read back when they are there.

    Scene i depends on (seed, i) alone and is composed at one of SIZES in turn.
    """
    pixels_file, table_file = path / f"corners-{seed}-{scenes}.bin", path / f"corners-{seed}-{scenes}.npz"
    if not table_file.exists():
        path.mkdir(parents=True, exist_ok=True)
        rows: list[tuple[NDArray[np.float32], ...]] = []
        # Spawned, not forked: a fork of a process in which PyTorch has threads may wait for ever.
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
    cv2.setNumThreads(1)  # one process a core already
    seed, index, size = key
    scene = compose(np.random.default_rng((seed, index)), size)
    columns = zip(scene.boxes, scene.corners - np.float32(0.5), scene.seen, strict=True)
    return [_surroundings(Marker(scene.image, *each)) for each in columns]


def _surroundings(marker: Marker) -> Marker:
    """What any crop of the marker may show of its scene, at most 480 px a side."""
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
    """Endless shuffled batches of crops as the runtime cuts them, of boxes as a detector may give them.

    Every batch has one of `sides`, so that the network serves all of them. Crops are turned by right angles, mirrored,
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
    """Crops (n, 3, side, side) of one box each, normalised, and the corners (n, 4, 2) as parts of them."""
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
    """The box (4,) as a detector may give it: its sides some percent off, and now and then much too large or small."""
    low, high = box[:2], box[2:]
    centre, half = (low + high) / 2, (high - low) / 2 * np.exp(np.clip(rng.normal(0, 0.08), -0.25, 0.25))
    off = np.clip(rng.normal(0, 0.04, (2, 2)), -0.12, 0.12) * half
    return np.concatenate((centre - half + off[0], centre + half + off[1])).astype(np.float32)


def labelled(images: NDArray[np.float32], parts: Corners, seen: NDArray[np.bool_]) -> Batch:
    """The batch of crops whose outlines' corners are `parts` (n, 4, 2) of them, each in the order of its names."""
    steps = images.shape[-1] // STRIDE - 1  # from the first px of the maps to the last, as with Crop.spacing
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
    """Turned counter-clockwise by a random number of right angles, and mirrored half of the time."""
    for _ in range(int(rng.integers(4))):
        image, parts = np.rot90(image, axes=(1, 2)), np.stack((parts[:, 1], 1 - parts[:, 0]), 1)
    if rng.random() < 0.5:
        image, parts = image[..., ::-1], np.stack((1 - parts[:, 0], parts[:, 1]), 1)
    return image.copy(), parts


def _tinted(rng: np.random.Generator, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """In other colours and of other contrast, each image in its own."""
    shape = (len(images), 3, 1, 1)
    gains = rng.uniform(0.75, 1.25, (len(images), 1, 1, 1)) * rng.uniform(0.9, 1.1, shape)
    return images * gains.astype(np.float32) + rng.normal(0, 0.2, shape).astype(np.float32)
