"""Comparisons of labels, losses and decoders of heatmaps, on the corners of generated symbols."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...deploy.contract.choices import HeatmapMethod
from ...deploy.forms import Heatmaps
from ...models.checkpoint import random_model
from ...models.skeletons import QUADRILATERAL
from ...models.zoo import find
from ..fit import Training
from ..labels.heatmaps import quantised_maps, unbiased_maps
from ..losses.heatmaps import focal_l2_loss, hard_keypoint_loss, heatmap_loss
from ..markers.corners import STRIDE, batches, cut, draw_markers, jittered, named
from ..pose import better_order
from .comparison import Comparison, Reading, Settings, Way

SIDE, BATCH, RATE, SIGMA = 128, 16, 3e-3, 2.0
DATA_SEED = 20_261_201
DECODERS: tuple[HeatmapMethod, ...] = ("argmax", "quarter", "dark")

Draw = Callable[[Tensor, tuple[int, int], float], Tensor]
Error = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Maps and targets (n, 4, h, w) and weights (n, 4) to the loss of each image (n,)."""


def squared(maps: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """The mean squared difference."""
    return heatmap_loss(maps, targets, weights).mean(1)


def focal(maps: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Focal L2 (arXiv 1911.10529)."""
    return (focal_l2_loss(maps, targets).mean((2, 3)) * weights).mean(1)


def losses(
    draw: Draw, error: Error, model: nn.Module, images: Tensor, centres: Tensor, weights: Tensor, ties: Tensor
) -> dict[str, Tensor]:
    """The loss `heatmaps` of a batch of `markers.corners`; of two orders of the corners the better one counts."""
    maps = model(images)["heatmaps"]
    size = (maps.shape[2], maps.shape[3])
    found = better_order(lambda points, own: error(maps, draw(points, size, SIGMA), own), centres, weights, ties)
    return {"heatmaps": found.mean()}


def train(draw: Draw, error: Error, seed: int, settings: Settings, folder: Path, device: str) -> Reading:
    """Train on crops of symbols, and measure on others."""
    variant = find("corners_markers")
    markers = draw_markers(folder, settings.scenes, DATA_SEED)
    stream = batches(markers, variant.input, BATCH, (SIDE,), seed)
    training = Training(random_model(variant, seed), steps=settings.steps, rate=RATE, device=device)
    for _ in range(settings.steps):
        training.learn(partial(losses, draw, error), *next(stream))
    return Reading(measured(training.average, settings, folder, device), {})


@torch.inference_mode()
def measured(network: nn.Module, settings: Settings, folder: Path, device: str) -> dict[str, float]:
    """The median distance of corners from the truth with each decoder, in px of the map of 32 px.

    Each outline is compared in the best of its four orders.
    """
    spec = find("corners_markers").input
    markers = [one for one in draw_markers(folder, settings.held_out, DATA_SEED + 1) if one.seen.all()]
    rng = np.random.default_rng(DATA_SEED)
    images, parts = cut(markers, [jittered(rng, one.box) for one in markers], spec, SIDE)
    truth = np.stack([outline[named(outline)[0]] for outline in parts])
    given = torch.from_numpy(images)
    maps = torch.cat([network(part.to(device))["heatmaps"].cpu() for part in given.split(64)]).numpy()
    values: dict[str, float] = {}
    for method in DECODERS:
        found, _ = Heatmaps(method, flip=False).parts({"heatmaps": maps}, None, QUADRILATERAL, (SIDE, SIDE), True)
        values[f"{method}, px"] = float(np.median(_distances(found, truth)) * (SIDE // STRIDE - 1))
    return values


def _distances(found: NDArray[np.float32], truth: NDArray[np.float32]) -> NDArray[np.float32]:
    """The distances (n, 4) of outlines (n, 4, 2) in the best of the four orders of each."""
    turns = np.stack([np.linalg.norm(found - np.roll(truth, turn, 1), axis=-1) for turn in range(4)])
    return turns[turns.mean(2).argmin(0), np.arange(len(found))]


_UNBIASED = Way("unbiased labels", partial(train, unbiased_maps, squared))

HEATMAP_LABELS = Comparison(
    "DARK (arXiv 1910.06278): labels at the exact point and decoding by the shape of the peak are better than rounded "
    "labels, and than a quarter step",
    {"quantised": Way("quantised labels", partial(train, quantised_maps, squared)), "unbiased": _UNBIASED},
)
HEATMAP_LOSSES = Comparison(
    "CPN (arXiv 1711.07319): the hardest keypoints alone teach more than all; Simple Pose (arXiv 1911.10529): focal L2 "
    "is better than the mean squared error",
    {
        "mean squared error": _UNBIASED,
        "hardest half (OHKM)": Way("OHKM", partial(train, unbiased_maps, partial(hard_keypoint_loss, hardest=2))),
        "focal L2": Way("focal L2", partial(train, unbiased_maps, focal)),
    },
)
