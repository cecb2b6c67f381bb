"""Batches of generated scenes, which are drawn once into a file and then read with cheap augmentation."""

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

from ...deploy.inputs.network_inputs import ImageInput
from .scene import Scene, compose

SIZE = 416
"""Side of a scene, px."""

Batch = tuple[torch.Tensor, list[torch.Tensor], list[torch.Tensor]]
"""Images (n, 3, h, w), and for each image boxes (g, 4) xyxy px and labels (g,)."""


@dataclass(frozen=True)
class Scenes:
    """Square images (side, side, 3) uint8 BGR, and for each image boxes (g, 4) xyxy px and labels (g,)."""

    images: Sequence[NDArray[np.uint8]]
    boxes: list[NDArray[np.float32]]
    labels: list[NDArray[np.int64]]

    def __add__(self, other: "Scenes") -> "Scenes":
        return Scenes([*self.images, *other.images], self.boxes + other.boxes, self.labels + other.labels)


def draw_scenes(path: Path, count: int, seed: int, sizes: tuple[int, ...] = (SIZE,)) -> Scenes:
    """Draw `count` scenes into the folder `path`, or read them if it exists.

    Scene i depends only on (seed, i), so any number of processes draws the same scenes. It is composed at one of
    `sizes` px in turn and reduced to 416 px with the runtime's resize.
    """
    name = "-".join(map(str, (seed, count, *sizes)))
    images_file, boxes_file = path / f"images-{name}.npy", path / f"boxes-{name}.npz"
    if not boxes_file.exists():
        path.mkdir(parents=True, exist_ok=True)
        images = np.lib.format.open_memmap(images_file, "w+", np.uint8, (count, SIZE, SIZE, 3))
        rows: list[tuple[float, ...]] = []
        # Spawn, because a fork of a process in which PyTorch has threads may deadlock.
        with multiprocessing.get_context("spawn").Pool() as pool:
            scenes = pool.imap(_draw, [(seed, i, sizes[i % len(sizes)]) for i in range(count)], chunksize=16)
            for i, scene in enumerate(track(scenes, "drawing", total=count, console=Console(stderr=True))):
                images[i] = scene.image
                rows += [(i, *box, label) for box, label in zip(scene.boxes, scene.labels, strict=True)]
        images.flush()
        np.savez(boxes_file, rows=np.array(rows, np.float32).reshape(-1, 6))
    rows_read = np.load(boxes_file)["rows"]
    owners = rows_read[:, 0].astype(int)
    return Scenes(
        list(np.load(images_file, mmap_mode="r")),
        [rows_read[owners == i, 1:5] for i in range(count)],
        [rows_read[owners == i, 5].astype(np.int64) for i in range(count)],
    )


def _draw(key: tuple[int, int, int]) -> Scene:
    cv2.setNumThreads(1)  # There is one process per core.
    seed, index, size = key
    scene = compose(np.random.default_rng((seed, index)), size)
    # The runtime's bilinear resize skips pixels when it reduces, which changes the pattern of fine modules.
    image = cv2.resize(scene.image, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
    scale = np.float32(SIZE / size)
    return replace(scene, image=image, boxes=scene.boxes * scale, corners=scene.corners * scale)


def reduced(scenes: Scenes, side: int) -> Scenes:
    """The scenes at `side` px."""
    return Scenes(
        [cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA) for image in scenes.images],
        [boxes * np.float32(side / len(image)) for image, boxes in zip(scenes.images, scenes.boxes, strict=True)],
        scenes.labels,
    )


def batches(scenes: Scenes, spec: ImageInput, size: int, sides: tuple[int, int], seed: int) -> Iterator[Batch]:
    """Endless shuffled batches, normalised as in the Card, rotated by right angles and scaled.

    Every batch has one side, a multiple of 32 px within `sides`, so that the network sees a symbol at several sizes.
    Images are not mirrored, since a mirrored code is not a code.
    """
    rng = np.random.default_rng(seed)
    mean = np.array(spec.mean, np.float32)
    std = np.array(spec.std, np.float32)
    while True:
        order = rng.permutation(len(scenes.images))
        for start in range(0, len(order) - size + 1, size):
            side = int(rng.integers(sides[0] // 32, sides[1] // 32 + 1)) * 32
            images: list[NDArray[np.float32]] = []
            boxes: list[torch.Tensor] = []
            labels: list[torch.Tensor] = []
            for i in order[start : start + size]:
                image, objects = _turn(scenes.images[i], scenes.boxes[i], int(rng.integers(4)))
                image = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32)
                image = image[..., ::-1] if spec.color == "rgb" else image
                images.append((image - mean) / std)
                boxes.append(torch.from_numpy(objects * np.float32(side / len(scenes.images[i]))))
                labels.append(torch.from_numpy(scenes.labels[i]))
            pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
            yield pixels, boxes, labels


def _turn(
    image: NDArray[np.uint8], boxes: NDArray[np.float32], quarters: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Rotate a square image and its boxes counter-clockwise by multiples of 90 degrees."""
    side = len(image)
    for _ in range(quarters):
        x1, y1, x2, y2 = boxes.T
        boxes = np.stack((y1, side - x2, y2, side - x1), 1)
    return np.ascontiguousarray(np.rot90(image, quarters)), boxes
