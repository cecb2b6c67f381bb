"""Reproduce the bundled weights: `python -m detforge.train.markers --model gfl_markers`, or `corners_markers`.

Draws the training scenes (about 30 ms each on one core), trains (seeded; on a GPU if there is one), and writes
`<model>.safetensors`. Then `detexport --model <model>` exports it, and `benchmarks/markers.py` or `corners.py` measures
it.
"""

import argparse
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from ...deploy.system.files import replacing
from ...models.checkpoint import random_model
from ...models.variant import Variant
from ...models.zoo import find
from ..dense import dense_losses
from ..fit import fit
from ..pose import heatmap_losses
from . import corners
from .dataset import batches, draw_scenes

SEED = 20_261_121
BATCH = 16
CORNERS_SEED = 20_261_131
CORNERS_BATCH = 32
CORNERS_SIDES = (256, 192, 128)
"""Sides of the crops, px. Each batch uses one of them."""


def main() -> None:
    """Run the training with the settings of the bundled weights."""
    parser = argparse.ArgumentParser(description="Train a bundled model on generated photographs.")
    parser.add_argument("--model", choices=_TRAINED, default="gfl_markers", help="(default: %(default)s)")
    parser.add_argument("--cache", type=Path, default=Path("runs/markers"), help="folder for the scenes (16 GB)")
    parser.add_argument("-o", "--output", type=Path, help="(default: models/weights/<model>.safetensors)")
    arguments = parser.parse_args()

    output = arguments.output or Path("models/weights") / f"{arguments.model}.safetensors"
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = _TRAINED[arguments.model](find(arguments.model), arguments.cache, device)
    with replacing(output) as temporary:
        save_file({key: value.cpu().contiguous() for key, value in model.state_dict().items()}, temporary)
    print(f"wrote {output}")


def train_detector(variant: Variant, cache: Path, device: str) -> nn.Module:
    """Train in two stages: scenes at the network's size, then also larger ones reduced to it, at a lower rate."""
    scenes = draw_scenes(cache, 16_000, SEED)
    stream = batches(scenes, variant.input, BATCH, (288, 416), SEED)
    model = fit(random_model(variant, SEED), stream, dense_losses, steps=3_000, rate=2e-3, device=device)
    scenes += draw_scenes(cache, 8_000, SEED + 2, sizes=(416, 624, 832, 1040))
    stream = batches(scenes, variant.input, BATCH, (352, 416), SEED + 2)
    return fit(model, stream, dense_losses, steps=1_500, rate=1e-3, device=device)


def train_corners(variant: Variant, cache: Path, device: str) -> nn.Module:
    """Train in one stage, on crops of the symbols in three sizes."""
    markers = corners.draw_markers(cache, 6_000, CORNERS_SEED)
    stream = corners.batches(markers, variant.input, CORNERS_BATCH, CORNERS_SIDES, CORNERS_SEED)
    model = random_model(variant, CORNERS_SEED)
    return fit(model, stream, heatmap_losses, steps=4_000, rate=3e-3, device=device)


_TRAINED = {"gfl_markers": train_detector, "corners_markers": train_corners}


if __name__ == "__main__":
    main()
