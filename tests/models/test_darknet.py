"""Darknet's weight files: numbers in the order of the layers."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from detforge.deploy.system.errors import InputError
from detforge.models.checkpoint import load_variant, random_model, read_checkpoint
from detforge.models.zoo import find

VARIANT = find("cspnet_test")


def write(path: Path, network: nn.Module, minor: int = 2) -> Path:
    """A file as Darknet writes it: a convolution's norm (shift, factor, mean, variance) or bias, then its weights."""
    header = struct.pack("<iii", 0, minor, 5) + struct.pack("<q" if minor >= 2 else "<i", 64)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    norms = iter([m for m in network.modules() if isinstance(m, nn.BatchNorm2d)])
    values: list[np.ndarray] = []
    for convolution in convolutions:
        if convolution.bias is None:
            norm = next(norms)
            values += [x.detach().numpy() for x in (norm.bias, norm.weight, norm.running_mean, norm.running_var)]
        else:
            values.append(convolution.bias.detach().numpy())
        values.append(convolution.weight.detach().numpy().reshape(-1))
    path.write_bytes(header + np.concatenate(values).astype("<f4").tobytes())
    return path


@pytest.mark.parametrize("minor", [1, 2])
@pytest.mark.parametrize("classes", [3, 80])
def test_weights_and_classes_come_back(tmp_path: Path, minor: int, classes: int) -> None:
    torch.manual_seed(0)
    network = VARIANT.build(classes)
    for value in network.state_dict().values():
        if value.is_floating_point():
            value.uniform_(0.5, 1.5)
    loaded = load_variant(VARIANT, read_checkpoint(write(tmp_path / "own.weights", network, minor)))
    theirs = network.state_dict()
    for key, value in loaded.state_dict().items():
        assert torch.equal(value, theirs[key]), key


def test_other_networks_and_damaged_files_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "own.weights", random_model(VARIANT))
    with pytest.raises(InputError, match="whose order yolov3_test does not follow"):
        load_variant(find("yolov3_test"), read_checkpoint(path))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(InputError, match=r"fit .* with no number of classes"):
        load_variant(VARIANT, read_checkpoint(path))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="not a whole number"):
        read_checkpoint(path)
    path.write_bytes(b"short")
    with pytest.raises(InputError, match="too short"):
        read_checkpoint(path)
