"""The transformers of FPT against their authors' numbers, and their pyramid."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pytest
import torch
from golden.reader import load_ops
from torch import nn

from detforge.models.necks.fpt import (
    FPT,
    GroundingTransformer,
    LocalGroundingTransformer,
    RenderingTransformer,
    SelfTransformer,
)

CASES = {case["name"]: case for case in load_ops("fpt")}
UNUSED = ("conv_upsample.", "conv_cat.")


def loaded(module: nn.Module, given: Mapping[str, Any]) -> nn.Module:
    """The module with the reference's parameters, in float64."""
    state = {key.removeprefix("param/"): torch.from_numpy(v) for key, v in given.items() if key.startswith("param/")}
    state = {key.replace("bn_upsample", "bn_reduction"): v for key, v in state.items() if not key.startswith(UNUSED)}
    missing, unexpected = module.load_state_dict(state, strict=False)
    assert not unexpected and all(key.endswith("num_batches_tracked") for key in missing)
    return module.eval()


@pytest.mark.parametrize("name", CASES)
def test_modules_equal_the_authors(name: str) -> None:
    given, expected = CASES[name]["in"], CASES[name]["out"]["y"]
    image = {key: torch.from_numpy(value) for key, value in given.items() if not key.startswith("param/")}
    with torch.inference_mode():
        if name.startswith("self"):
            ours = loaded(SelfTransformer(8, CASES[name]["args"]["n_mix"]), given)(image["x"])
        elif name.startswith("ground"):
            form = GroundingTransformer(8, embedded=CASES[name]["args"]["mode"] == "embedded")
            ours = loaded(form, given)(image["x_low"], image["x_high"])
        elif name == "lgt":
            ours = loaded(LocalGroundingTransformer(8), given)(image["x"], image["x"])
        else:
            ours = loaded(RenderingTransformer(8, 1), given)(image["x_high"], image["x_low"])
    np.testing.assert_allclose(ours.numpy(), expected, atol=2e-6)


def test_local_grounding_reads_the_coarse_cells_around_the_same_place() -> None:
    """With the weights of a plain sum: the fine map's own value does not matter, and each window has nine cells."""
    layer = LocalGroundingTransformer(2).double().eval()
    with torch.inference_mode():
        for name, parameter in layer.named_parameters():
            parameter.zero_()
            if name == "value_conv.weight":
                parameter += torch.eye(2)[:, :, None, None]
        high = torch.arange(12.0, dtype=torch.float64).reshape(1, 2, 2, 3)
        ours = layer(torch.randn(1, 2, 4, 6, dtype=torch.float64), high)
    fine = np.pad(high.numpy().repeat(2, 2).repeat(2, 3), ((0, 0), (0, 0), (1, 1), (1, 1)))
    expected = sum(fine[:, :, i : i + 4, j : j + 6] for i in range(3) for j in range(3)) / 9
    np.testing.assert_allclose(ours.numpy(), expected)


@pytest.mark.parametrize("grounding", ["embedded", "local"])
def test_the_pyramid_has_either_form_of_grounding(grounding: Literal["embedded", "local"]) -> None:
    neck = FPT((4, 6), 8, grounding=grounding).eval()
    levels = [torch.randn(1, 4, 6, 5), torch.randn(1, 6, 3, 3)]
    with torch.inference_mode():
        p3, p4 = neck.fpn_p3_1x1(levels[0]), neck.fpn_p4_1x1(levels[1])
        expected = neck.fpt_p3(torch.cat((neck.st_p3(p3), neck.gt_p3_p4(p3, p4), p3), 1))
        torch.testing.assert_close(neck(levels)[0], expected)
    kind = LocalGroundingTransformer if grounding == "local" else GroundingTransformer
    assert isinstance(neck.gt_p3_p4, kind) and getattr(neck.gt_p3_p4, "embedded", True)


def test_a_pyramid_joins_every_level_with_all_others() -> None:
    """Each transformer on its own pair, in the authors' order, also where sizes are odd."""
    torch.manual_seed(0)
    neck = FPT((4, 6, 8), 8).eval()
    levels = [torch.randn(2, c, *size) for c, size in ((4, (13, 9)), (6, (7, 5)), (8, (4, 3)))]
    with torch.inference_mode():
        outputs = neck(levels)
        p3, p4, p5 = neck.fpn_p3_1x1(levels[0]), neck.fpn_p4_1x1(levels[1]), neck.fpn_p5_1x1(levels[2])
        expected = [
            neck.fpt_p3(torch.cat((neck.st_p3(p3), neck.gt_p3_p4(p3, p4), neck.gt_p3_p5(p3, p5), p3), 1)),
            neck.fpt_p4(torch.cat((neck.st_p4(p4), neck.rt_p4_p3(p4, p3), neck.gt_p4_p5(p4, p5), p4), 1)),
            neck.fpt_p5(torch.cat((neck.st_p5(p5), neck.rt_p5_p4(p5, p4), neck.rt_p5_p3(p5, p3), p5), 1)),
        ]
    for ours, theirs in zip(outputs, expected, strict=False):
        torch.testing.assert_close(ours, theirs)
    assert [tuple(x.shape[2:]) for x in outputs] == [(13, 9), (7, 5), (4, 3), (2, 2), (1, 1)]
