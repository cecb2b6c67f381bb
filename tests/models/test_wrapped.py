"""The wrappers that training programs save around weights, and what a checkpoint calls its classes and keypoints."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from detforge.deploy.system.errors import InputError
from detforge.models.checkpoint import load_variant, read_checkpoint
from detforge.models.zoo import find

STATE = {"backbone.weight": torch.arange(6.0).reshape(2, 3), "head.bias": torch.ones(2), "head.steps": torch.tensor(7)}


def prefixed(prefix: str) -> dict[str, Tensor]:
    return {f"{prefix}{key}": value for key, value in STATE.items()}


def averaged() -> dict[str, Tensor]:
    """The state of torch's own wrapper of an averaged network."""
    network = nn.Module()
    network.backbone, network.head = nn.Linear(3, 2, bias=False), nn.Module()
    network.backbone.weight = nn.Parameter(STATE["backbone.weight"])
    network.head.bias = nn.Parameter(STATE["head.bias"])
    network.head.register_buffer("steps", STATE["head.steps"])
    return torch.optim.swa_utils.AveragedModel(network).state_dict()


WRAPPED: dict[str, Any] = {
    "bare": STATE,
    "net": {"net": STATE, "epoch": 3},
    "model": {"model": STATE, "loss": torch.tensor(0.5), "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}}},
    "model_state_dict": {"model_state_dict": STATE, "optimizer_state_dict": {"lr": torch.tensor(0.1)}},
    "nested": {"model": {"model": STATE}},
    "state_dict in model": {"model": {"state_dict": STATE}},
    "compiled": prefixed("_orig_mod."),
    "compiled and parallel": prefixed("module._orig_mod."),
    "parallel and compiled": prefixed("_orig_mod.module."),
    "a compiled and a sharded part": {
        key.replace("backbone.", "backbone._orig_mod.").replace("head.", "head._fsdp_wrapped_module."): value
        for key, value in STATE.items()
    },
    "recomputed": {"state_dict": {key.replace(".", "._checkpoint_wrapped_module."): v for key, v in STATE.items()}},
    "lightning": {"state_dict": prefixed("model."), "pytorch-lightning_version": "2.0", "hyper_parameters": {"lr": 1}},
    "lightning, compiled": {"state_dict": prefixed("model._orig_mod."), "loops": {"fit_loop": {"epoch": 3}}},
    "a module's net": {"state_dict": prefixed("net.")},
    "averaged": averaged(),
    "averaged, nested": {"model": averaged()},
    "averaged by NanoDet": {
        "state_dict": {f"model.{key}": torch.zeros_like(value) for key, value in STATE.items()} | prefixed("avg_model.")
    },
    "averaged by mmengine": {"state_dict": STATE, "ema_state_dict": prefixed("module.") | {"steps": torch.tensor(5)}},
    "averaged by mmcv": {
        "state_dict": STATE | {f"ema_{key.replace('.', '_')}": torch.zeros_like(v) for key, v in STATE.items()}
    },
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", WRAPPED)
def test_the_weights_are_found(tmp_path: Path, name: str, zipped: bool) -> None:
    torch.save(WRAPPED[name], tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    found = read_checkpoint(tmp_path / "a.pth").state
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[key], STATE[key]) for key in STATE)


def test_a_prefix_of_some_weights_is_a_name(tmp_path: Path) -> None:
    state = {"model.weight": torch.ones(1), "head.weight": torch.ones(1)}
    torch.save(state, tmp_path / "a.pth")
    assert read_checkpoint(tmp_path / "a.pth").state.keys() == state.keys()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"params": {"a": torch.ones(1)}, "step": 3}, "its keys begin with 'params', 'step'"),
        ({"state_dict": {}}, "it is empty"),
        ({"model": nn.Linear(1, 1), "epoch": 3}, "'model' is a whole model, not weights; save its state_dict()"),
        ({f"k{i}": i for i in range(20)}, "'k7', ..."),
    ],
)
def test_other_contents_name_what_was_seen(tmp_path: Path, content: Any, words: str) -> None:
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(InputError) as caught:
        read_checkpoint(tmp_path / "a.pth")
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_dict_that_contains_itself_is_refused(tmp_path: Path) -> None:
    content: dict[str, Any] = {}
    content["model"] = content
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(InputError, match="its keys begin with 'model'"):
        read_checkpoint(tmp_path / "a.pth")


def test_weights_of_two_networks_name_both(tmp_path: Path) -> None:
    torch.save({"state_dict": prefixed("teacher.") | prefixed("student.")}, tmp_path / "a.pth")
    with pytest.raises(InputError, match="its keys begin with 'teacher', 'student'"):
        load_variant(find("gfl_test"), read_checkpoint(tmp_path / "a.pth"))


NAMES = ("cat", "dog")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        ({"CLASSES": NAMES}, NAMES),
        ({"classes": list(NAMES)}, NAMES),
        ({"CLASSES": "person"}, ("person",)),
        ({"dataset_meta": {"CLASSES": NAMES, "PALETTE": None}}, NAMES),
        ({"dataset_meta": {"classes": np.array(NAMES)}}, NAMES),
        ({"dataset_meta": {"classes": np.array(NAMES, object)}}, NAMES),
        ({"dataset_meta": {"classes": [np.str_("cat"), np.str_("Straße")]}}, ("cat", "Straße")),
        ({"metainfo": {"classes": NAMES}}, NAMES),
        (
            {"dataset_meta": {"CLASSES": [{"id": 1, "name": "cat", "skeleton": [[1, 2]]}, {"name": "dog"}]}},
            NAMES,
        ),
        ({"dataset_meta": {"palette": []}, "CLASSES": NAMES}, NAMES),
        ({"dataset_meta": {"classes": np.arange(2)}}, None),
        ({"dataset_meta": {"classes": ["cat", ""]}}, None),
        ({"dataset_meta": {"classes": [{"id": 1}]}}, None),
    ],
)
def test_names_of_classes_in_every_spelling(tmp_path: Path, meta: Any, expected: Any, zipped: bool) -> None:
    content = {"state_dict": STATE, "meta": meta}
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    assert read_checkpoint(tmp_path / "a.pth").labels == expected


@pytest.mark.parametrize("zipped", [True, False])
def test_arrays_are_their_values(tmp_path: Path, zipped: bool) -> None:
    arrays = {
        **{kind: np.array([1, 2, 0], kind) for kind in ("i1", "i2", "i4", "i8", "u1", "f2", "f4", "f8", "bool")},
        "table": np.arange(6).reshape(2, 3),
        "words": np.array(["a", "bcd"]),
        "number": np.float64(0.25),
        "flag": np.bool_(True),
        "none": np.empty((0, 3)),
        "cube": np.zeros((2, 2, 2)),
        "by column": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "big-endian": np.arange(3, dtype=">i4"),
        "complex": np.ones(2, complex),
    }
    torch.save({"state_dict": STATE, "meta": arrays}, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    found = read_checkpoint(tmp_path / "a.pth").meta
    unread = ("cube", "by column", "big-endian", "complex", "none")
    assert {key: list(found[key]) for key in unread} == {key: [] for key in unread}
    for key in arrays.keys() - set(unread):
        assert found[key] == arrays[key].tolist()
