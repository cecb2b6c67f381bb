"""What every step of run.py takes.

A step takes its Context and `say`, which takes one result, and returns a line that sums them up. It raises AbsentError
with what it lacks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from prepare import CASES, CUDA

from detforge.plugins.core.abi import Library

Say = Callable[[dict[str, Any]], None]


class AbsentError(Exception):
    """What a step needs is not here; says what."""


def need(condition: object, what: str) -> None:
    """AbsentError unless the condition holds."""
    if not condition:
        raise AbsentError(what)


@dataclass(frozen=True)
class Context:
    """The folder of prepare.py, the device ("cpu" where the library emulates one), and a part of the cases' names."""

    folder: Path
    device: str = "cuda"
    match: str = ""

    def kernels(self) -> Library:
        """The CUDA library, with a GPU that PyTorch can put tensors on."""
        if self.device == "cuda":
            need(torch.cuda.is_available(), f"PyTorch {torch.__version__} finds no GPU; install one built with CUDA")
        need((self.folder / CUDA).exists(), f"{CUDA} was not built")
        return Library(self.folder / CUDA)

    def arrays(self, kind: str) -> dict[str, Any]:
        """The arrays of one kind that prepare.py wrote."""
        file = np.load(self.folder / CASES)
        return {key.removeprefix(f"{kind}/"): file[key] for key in file.files if key.startswith(f"{kind}/")}
