"""Weights of a checkpoint in their network: what arrives, and how it is said what does not fit."""

from functools import partial

import pytest
import torch
from checkpoint_files import same
from torch import Tensor

from detforge.deploy.system.errors import InputError
from detforge.models.backbones.resnet import DCN_C3_C5, R50, TINY
from detforge.models.checkpoint import Checkpoint, load_variant, random_model
from detforge.models.zoo import find
from detforge.models.zoo.gfl import build

VARIANT = find("gfl_test")
STATE = random_model(VARIANT).state_dict()


def checkpoint(state: dict[str, Tensor]) -> Checkpoint:
    return Checkpoint(state, "a.pth", None, None)


@pytest.mark.slow
def test_weights_arrive_in_the_network() -> None:
    model = load_variant(VARIANT, checkpoint(STATE))
    assert same(model.state_dict(), STATE)
    assert not model.training
    image = torch.rand(1, 3, 64, 64)
    expected = random_model(VARIANT)(image)
    assert same(model(image), expected)


def test_half_precision_and_missing_counters_load() -> None:
    half = {key: value.half() for key, value in STATE.items() if not key.endswith("num_batches_tracked")}
    model = load_variant(VARIANT, checkpoint(half))
    assert all(value.dtype == torch.float32 for value in model.parameters())
    assert same(model.state_dict(), {k: half[k].float() if k in half else v for k, v in STATE.items()})


def test_classes_follow_the_checkpoint() -> None:
    model = load_variant(VARIANT, checkpoint(build(3, backbone=TINY, channels=32, stacked=1).state_dict()))
    assert model(torch.zeros(1, 3, 64, 64))["scores"].shape[2] == 3


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"neck.lateral_convs.0.conv.weight": None}, "neck.lateral_convs.0.conv.weight is missing, of shape 32x16x1x1"),
        ({"extra": torch.ones(2, 3)}, "'extra' is unexpected, of shape 2x3"),
        ({"backbone.bn1.weight": torch.ones(9)}, "backbone.bn1.weight has shape 9, not 8"),
        ({"bbox_head.scales.0.scale": torch.ones(2)}, "bbox_head.scales.0.scale has shape 2, not scalar"),
        ({"backbone.bn1.weight": torch.ones(8).long()}, "backbone.bn1.weight holds torch.int64, not torch.float32"),
        ({"backbone.bn1.weight": torch.full((8,), torch.nan)}, "backbone.bn1.weight holds infinite or undefined"),
        ({"backbone.bn1.weight": torch.full((8,), 1e39, dtype=torch.float64)}, "infinite"),
        ({"bbox_head.gfl_cls.weight": None}, "lacks bbox_head.gfl_cls.weight"),
        ({"bbox_head.gfl_cls.weight": torch.tensor(1.0)}, "lacks bbox_head.gfl_cls.weight"),
        ({"bbox_head.gfl_cls.weight": torch.ones(0, 32, 3, 3)}, "lacks bbox_head.gfl_cls.weight"),
        ({"bbox_head.gfl_cls.weight": torch.ones(10**6)}, "lacks bbox_head.gfl_cls.weight"),
        ({"\n\033[31m" + "x" * 999: torch.ones(1)}, "\\n\\x1b[31mxxx"),
        ({"a": torch.ones(1), "backbone.conv1.weight": None}, "conv1.weight is missing, of shape 8x3x7x7 and 1 more"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Tensor | None], reason: str) -> None:
    state = {key: value for key, value in (STATE | change).items() if value is not None}
    with pytest.raises(InputError) as caught:
        load_variant(VARIANT, checkpoint(state))
    message = str(caught.value)
    assert message.startswith("a.pth: ")
    assert reason in message
    assert VARIANT.name in message or "infinite" in message
    assert len(message) < 350
    assert "\n" not in message


def test_deformable_layers_of_mmdet_1_load() -> None:
    small = VARIANT.derive("small", "", build={"backbone": partial(R50, width=8, deformable=DCN_C3_C5)})
    state = random_model(small).state_dict()
    old = {key.replace("conv2.conv_offset.", "conv2_offset."): value for key, value in state.items()}
    assert old.keys() != state.keys()
    assert same(load_variant(small, checkpoint(old)).state_dict(), state)


def test_random_weights_follow_the_seed_alone() -> None:
    before = torch.get_rng_state()
    assert same(random_model(VARIANT).state_dict(), STATE)
    assert not same(random_model(VARIANT, seed=1).state_dict(), STATE)
    assert torch.equal(before, torch.get_rng_state())
