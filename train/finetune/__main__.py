"""Fine-tune a network: `python -m detforge.train.finetune --model gfl --data coco.json --images DIR`."""

import argparse
import sys

from ...deploy.system import flags
from ...deploy.system.console import Parser, run
from .options import FinetuneOptions
from .run import finetune


def main() -> int:
    """Run the command and return its exit code."""
    parser = Parser(
        "python -m detforge.train.finetune",
        "Train a network on your own images, from any checkpoint that detexport takes. Writes best.pth for detexport.",
    )
    flags.add_flags(FinetuneOptions, parser)
    return run(_command, parser)


def _command(arguments: argparse.Namespace) -> int:
    finetune(flags.read_flags(FinetuneOptions, arguments))
    return 0


if __name__ == "__main__":
    sys.exit(main())
