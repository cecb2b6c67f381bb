"""Check a claim on generated data: `python -m detforge.train.lab scores --seeds 3`."""

import argparse
import sys
from pathlib import Path

import torch

from ...deploy.system.console import Parser, run
from ...deploy.system.flags import whole
from .comparison import Settings, compare, table
from .detectors import ASSIGNMENT, BOXES, QUALITY, SCORES
from .keypoints import HEATMAP_LABELS, HEATMAP_LOSSES

COMPARISONS = {
    "scores": SCORES,
    "boxes": BOXES,
    "quality": QUALITY,
    "assignment": ASSIGNMENT,
    "heatmap-labels": HEATMAP_LABELS,
    "heatmap-losses": HEATMAP_LOSSES,
}


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = Parser(
        "python -m detforge.train.lab",
        "Train small networks on generated data, equal but for one choice, and write a table with the spread of seeds. "
        "A comparison that was interrupted goes on.",
    )
    add = parser.add_argument
    add("comparison", choices=COMPARISONS)
    add("--seeds", type=whole(1, 100), default=3, help="networks for each choice (default: %(default)s)")
    add("--steps", type=whole(1, 1_000_000), default=1000, help="of each training (default: %(default)s)")
    add("--scenes", type=whole(16, 100_000), default=1000, help="generated for training (default: %(default)s)")
    add("--held-out", type=whole(1, 100_000), default=200, help="generated for measuring (default: %(default)s)")
    add("-o", "--output", type=Path, default=Path("runs/lab"), help="folder of the results (default: %(default)s)")
    return run(_command, parser, argv)


def _command(arguments: argparse.Namespace) -> int:
    comparison = COMPARISONS[arguments.comparison]
    settings = Settings(arguments.steps, arguments.scenes, arguments.held_out)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    folder: Path = arguments.output
    runs = compare(arguments.comparison, comparison, arguments.seeds, settings, folder, folder / "scenes", device)
    print(f"{comparison.claim}\n\n{table(runs)}", end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
