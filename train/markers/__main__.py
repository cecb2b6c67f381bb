"""Reproduce the weights of `gfl_markers`: `python -m detforge.train.markers`.

Draws the training scenes (about 30 ms each on one core), trains (seeded; on a GPU where there is one), and writes
`gfl_markers.safetensors`. Then `detexport --model gfl_markers` exports it and `benchmarks/markers.py` measures it.
"""

import argparse
from pathlib import Path

import torch
from safetensors.torch import save_file

from ...deploy.files import replacing
from ...models.checkpoint import random_model
from ...models.zoo import find
from ..fit import fit
from ..gfl import gfl_losses
from .dataset import batches, draw_scenes

SEED = 20_261_121
BATCH = 16


def main() -> None:
    """Run the training with the numbers that made the weights that ship."""
    parser = argparse.ArgumentParser(description="Train gfl_markers on generated photographs.")
    parser.add_argument("--scenes", type=int, default=16_000, help="training scenes (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=3_000, help=f"batches of {BATCH} (default: %(default)s)")
    parser.add_argument("--cache", type=Path, default=Path("runs/markers"), help="where scenes are kept")
    parser.add_argument("-o", "--output", type=Path, default=Path("models/weights/gfl_markers.safetensors"))
    arguments = parser.parse_args()

    variant = find("gfl_markers")
    scenes = draw_scenes(arguments.cache, arguments.scenes, SEED)
    model = fit(
        random_model(variant, SEED),
        batches(scenes, variant.input, BATCH, SEED),
        gfl_losses,
        steps=arguments.steps,
        device="cuda" if torch.cuda.is_available() else "cpu",
    )
    with replacing(arguments.output) as temporary:
        save_file({key: value.cpu().contiguous() for key, value in model.state_dict().items()}, temporary)
    print(f"wrote {arguments.output}")


if __name__ == "__main__":
    main()
