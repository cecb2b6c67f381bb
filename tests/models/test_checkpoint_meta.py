"""What a checkpoint says of itself beside its weights."""

from pathlib import Path

import numpy as np
import pytest
import torch

from detforge.models.checkpoint import read_checkpoint


@pytest.mark.parametrize("zipped", [True, False])
def test_arrays_of_floats_are_read_as_their_values(tmp_path: Path, zipped: bool) -> None:
    dataset = {
        "sigmas": np.array([0.025, 0.1, 0.5], np.float32),
        "weights": np.array([1.0, 1.5]),
        "colors": np.zeros((2, 3), np.uint8),
        "keypoint_name2id": {"nose": 0},
    }
    content = {"state_dict": {"a": torch.ones(1)}, "meta": {"dataset_meta": dataset, "cfg": "a = 1\n"}}
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    meta = read_checkpoint(tmp_path / "a.pth").meta
    assert meta["cfg"] == "a = 1\n"
    found = meta["dataset_meta"]
    assert found["sigmas"] == [np.float32(0.025), np.float32(0.1), 0.5]
    assert found["weights"] == [1.0, 1.5]
    assert found["colors"] == [[0, 0, 0], [0, 0, 0]]
    assert found["keypoint_name2id"] == {"nose": 0}


def test_of_an_averaged_network_the_averages_are_taken(tmp_path: Path) -> None:
    """mmcv 1.x keeps what was trained beside them, as buffers of the same network."""
    state = {
        "backbone.conv.weight": torch.ones(2),
        "ema_backbone_conv_weight": torch.zeros(2),
        "ema_gate": torch.ones(1),
    }
    torch.save({"state_dict": state}, tmp_path / "a.pth")
    found = read_checkpoint(tmp_path / "a.pth").state
    assert found.keys() == {"backbone.conv.weight", "ema_gate"}  # the latter is nobody's average
    assert found["backbone.conv.weight"].tolist() == [1.0, 1.0]


def test_of_an_averaged_network_of_mmengine_the_averages_are_taken(tmp_path: Path) -> None:
    state, raw = {"a.weight": torch.ones(2)}, {"module.a.weight": torch.zeros(2), "steps": torch.tensor(3)}
    torch.save({"state_dict": state, "ema_state_dict": raw}, tmp_path / "a.pth")
    assert read_checkpoint(tmp_path / "a.pth").state["a.weight"].tolist() == [1.0, 1.0]
