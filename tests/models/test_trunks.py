"""Backbones, and the necks of two-stage networks, against their references: what one-stage networks share with them."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from golden.agreement import assert_tensors_agree
from golden.catalog import networks
from golden.reader import load
from reference import Outputs, numbered
from torch import Tensor, nn

from detforge.models.backbones.pyconv import PYCONV_50, PYCONV_HG_50
from detforge.models.backbones.resnet import R50
from detforge.models.necks.fpn import FPN


def with_pyramid(
    backbone: Callable[[], nn.Module], pyramid: Callable[..., nn.Module] = FPN, levels: int = 4
) -> nn.Module:
    trunk = backbone()
    return nn.ModuleDict({"backbone": trunk, "neck": pyramid(trunk.channels, 256, levels)})


TRUNKS = {
    "pafpn_faster_r50": partial(with_pyramid, R50, partial(FPN, bottom_up="plain")),
    "pyconvresnet50_backbone": PYCONV_50,
    "pyconvhgresnet50_backbone": PYCONV_HG_50,
}


@pytest.mark.parametrize("name", networks("trunk"))
def test_trunk_equals_the_reference(name: str) -> None:
    golden = load(name)
    model = TRUNKS[name]().eval()
    weights = {key: torch.from_numpy(value) for key, value in golden.state.items() if not key.startswith("fc.")}
    model.load_state_dict(weights)
    for case in [case for case in golden.cases.values() if case.raw]:  # of the padded image no tensors are kept
        with torch.inference_mode():
            assert_tensors_agree(case.raw, tensors(model, torch.from_numpy(case.image)), 3e-4)


def tensors(model: nn.Module, image: Tensor) -> Outputs:
    """By the reference's names; those of a backbone alone are its stages', and the classifier behind it is none of
    ours."""
    if not isinstance(model, nn.ModuleDict):
        return {f"layer{i}": level for i, level in enumerate(model(image), 1)} | {"logits": None}
    levels = model["backbone"](image)
    # The last of the neck's is a subsampling of P5, which dense detectors do without.
    return numbered("backbone", levels) | numbered("neck", [*model["neck"](levels), None])
