"""Reading checkpoints: every layout that is published loads."""

import hashlib
import sys
import types
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoint_files import FORMATS, refusal, same, save
from safetensors.torch import save_file
from torch import nn

from detforge.models.checkpoint import random_model, read_checkpoint
from detforge.models.zoo import find

VARIANT = find("gfl_test")
STATE = random_model(VARIANT).state_dict()


@pytest.mark.parametrize("form", FORMATS)
def test_reads_openmmlab_2(tmp_path: Path, form: str) -> None:
    meta = {"CLASSES": ("cat", "dog"), "mmdet_version": "2.0.0", "config": "model = dict()"}
    path = save(tmp_path / "a.pth", {"meta": meta, "state_dict": STATE, "optimizer": {"state": {0: {}}}}, form)
    found = read_checkpoint(path)
    assert same(found.state, STATE)
    assert found.labels == ("cat", "dog")
    assert found.name == "a.pth"
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def mmengine(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A stand-in with classes like those that OpenMMLab 3.x pickles beside its weights."""
    module = types.ModuleType("mmengine")

    class HistoryBuffer:
        def __init__(self) -> None:
            self._log_history, self._count = np.arange(3.0), np.float64(3)
            self._statistics = {("mean", 1): deque([1]), "seen": {1, 2}, "kept": frozenset("ab")}

    class ConfigDict(dict):
        def __reduce_ex__(self, _: Any) -> Any:
            return self.__class__, (dict(self),), {"_frozen": True}, iter([1]), iter([("a", 2)])

    for kind in (HistoryBuffer, ConfigDict):
        kind.__module__, kind.__qualname__ = "mmengine", kind.__name__
        setattr(module, kind.__name__, kind)
    monkeypatch.setitem(sys.modules, "mmengine", module)
    return module


@pytest.mark.parametrize("form", FORMATS)
def test_reads_openmmlab_3_without_mmengine(
    tmp_path: Path, mmengine: types.ModuleType, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    content = {
        "meta": {"dataset_meta": {"classes": ["cat", "dog"], "palette": [(1, 2, 3)]}, "cfg": "", "epoch": 12},
        "message_hub": {"log_scalars": {"loss": mmengine.HistoryBuffer()}, "cfg": mmengine.ConfigDict(b=1)},
        "state_dict": STATE,
    }
    path = save(tmp_path / "a.pth", content, form)
    monkeypatch.delitem(sys.modules, "mmengine")
    found = read_checkpoint(path)
    assert same(found.state, STATE)
    assert found.labels == ("cat", "dog")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("wrap", [lambda state: state, lambda state: {"model": state}, lambda s: {"state_dict": s}])
def test_reads_other_layouts(tmp_path: Path, form: str, wrap: Any) -> None:
    state = {f"module.{key}": nn.Parameter(v) if v.is_floating_point() else v for key, v in STATE.items()}
    path = save(tmp_path / "a.pt", wrap(state | {"epoch": 3, "name": "x"}), form)
    found = read_checkpoint(path)
    assert same(found.state, STATE)
    assert found.labels is None


@pytest.mark.parametrize("form", FORMATS)
def test_reads_views_types_and_empty_tensors(tmp_path: Path, form: str) -> None:
    base = torch.arange(24.0).reshape(4, 6)
    state = {"t": base.T, "part": base[1:3, ::2], "scalar": torch.tensor(7), "none": torch.empty(0, 3)}
    state |= {str(t): torch.ones(3, dtype=t) for t in (torch.float16, torch.bfloat16, torch.float64, torch.bool)}
    found = read_checkpoint(save(tmp_path / "a.pth", state, form)).state
    assert same(found, state)
    assert all(found[key].dtype == state[key].dtype for key in state)


def test_reads_safetensors(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "a.safetensors")
    found = read_checkpoint(tmp_path / "a.safetensors")
    assert same(found.state, STATE)


@pytest.mark.parametrize(
    "meta",
    [None, 3, {}, {"CLASSES": None}, {"CLASSES": ()}, {"CLASSES": (1,)}, {"dataset_meta": 1}],
)
def test_labels_of_an_unexpected_form_are_none(tmp_path: Path, meta: Any) -> None:
    path = save(tmp_path / "a.pth", {"meta": meta, "state_dict": {"w": torch.ones(1)}}, "zip")
    assert read_checkpoint(path).labels is None


@pytest.mark.parametrize("suffix", ["pth", "pt", "safetensors"])
def test_digits_in_the_name_are_checked(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    save_file(STATE, path) if suffix == "safetensors" else save(path, STATE, "zip")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert read_checkpoint(path.rename(tmp_path / f"gfl_20200629_121244-{digest[:8]}.{suffix}")).sha256 == digest
    renamed = tmp_path / f"gfl_20200629_121244-{digest[:8]}.{suffix}"
    assert f"starts with {digest[:8]}, its name says 0badc0de" in refusal(
        renamed.rename(tmp_path / f"gfl-0badc0de.{suffix}")
    )


def test_a_date_in_the_name_is_no_digest(tmp_path: Path) -> None:
    assert read_checkpoint(save(tmp_path / "mine-20240131.pth", STATE, "zip")).labels is None
