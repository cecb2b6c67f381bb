"""Reproduce the weights of `gfl_markers`: `python -m detforge.train.markers`.

Draws the training scenes (about 30 ms each on one core), trains (seeded; on a GPU where there is one), and writes
`gfl_markers.safetensors`. Then `detexport --model gfl_markers` exports it and `benchmarks/markers.py` measures it.
"""

import argparse
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from ...deploy.files import replacing
from ...models.checkpoint import random_model
from ...models.variant import Variant
from ...models.zoo import find
from ..fit import fit
from ..gfl import gfl_losses
from .dataset import batches, draw_scenes

SEED = 20_261_121
BATCH = 16


def main() -> None:
    """Run the training with the numbers that made the weights that ship."""
    parser = argparse.ArgumentParser(description="Train gfl_markers on generated photographs.")
    parser.add_argument("--cache", type=Path, default=Path("runs/markers"), help="where scenes are kept (12 GB)")
    parser.add_argument("-o", "--output", type=Path, default=Path("models/weights/gfl_markers.safetensors"))
    arguments = parser.parse_args()

    model = train(find("gfl_markers"), arguments.cache)
    with replacing(arguments.output) as temporary:
        save_file({key: value.cpu().contiguous() for key, value in model.state_dict().items()}, temporary)
    print(f"wrote {arguments.output}")


def train(variant: Variant, cache: Path) -> nn.Module:
    """Two stages: scenes at the network's own size, then also larger ones reduced to it, at a lower rate."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    scenes = draw_scenes(cache, 16_000, SEED)
    stream = batches(scenes, variant.input, BATCH, (288, 416), SEED)
    model = fit(random_model(variant, SEED), stream, gfl_losses, steps=3_000, rate=2e-3, device=device)
    scenes += draw_scenes(cache, 8_000, SEED + 2, sizes=(416, 624, 832, 1040))
    stream = batches(scenes, variant.input, BATCH, (352, 416), SEED + 2)
    return fit(model, stream, gfl_losses, steps=1_500, rate=1e-3, device=device)


if __name__ == "__main__":
    main()
