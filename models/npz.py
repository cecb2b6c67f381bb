"""The weights in NumPy's .npz files."""

import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .layers import Layer
from .stored import MalformedError

_MOST_GROWTH = 100  # times the size of the file, which real weights never reach


def read_npz(path: Path) -> dict[str, Tensor]:
    """The arrays of a .npz file by name. Raises MalformedError if it is damaged or holds anything but numbers."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > _MOST_GROWTH * path.stat().st_size:
            raise MalformedError("its arrays unpack to far more than the file holds")
        with np.load(path, allow_pickle=False) as file:
            return {name: torch.from_numpy(np.ascontiguousarray(file[name])) for name in file.files}
    except (MalformedError, OSError):
        raise
    except Exception as error:  # A damaged file can raise any exception in the reader.
        raise MalformedError(f"damaged or not a .npz file ({type(error).__name__})") from error


def ordered_layers(state: dict[str, Tensor]) -> list[Layer]:
    """The convolutions of arrays that are all weights and biases in the order in which they run; otherwise nothing."""
    layers: list[Layer] = []
    for key, weight in state.items():
        name, _, part = key.rpartition(".")
        if part == "weight" and weight.ndim == 4:
            bias = state.get(f"{name}.bias", torch.zeros(len(weight)))
            layers.append(Layer(key, weight.float(), bias.float()))
        elif part != "bias" or f"{name}.weight" not in state:
            return []
    return layers
