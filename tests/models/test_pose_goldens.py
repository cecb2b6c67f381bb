"""Pose networks against OpenMMLab's numbers, tensor by tensor and keypoint by keypoint."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from golden.reader import PoseGolden, load_pose
from torch import Tensor, nn

from detforge.deploy.forms.keypoints import keypoints
from detforge.models.backbones.mspn import MSPN
from detforge.models.backbones.resnet import ResNet
from detforge.models.checkpoint import Checkpoint, load_variant
from detforge.models.heads.rtmcc import RTMCCHead
from detforge.models.heads.simcc import SimCCHead
from detforge.models.variant import Variant
from detforge.models.zoo import find

TOP_DOWN = (
    "td_res50",
    "td_res50_dark",
    "td_hrnet_w32",
    "td_hrnet_w32_dark",
    "td_hrnet_w32_udp",
    "td_hrnet_w32_udp_regress",
    "ipr_res50",
    "ipr_res50_dsnt",
    "td_2xmspn50",
    "td_rsn18",
    "simcc_res50",
    "simcc_mobilenetv2",
    "rtmpose_s",
    "rtmpose_m",
)
BOTTOM_UP = ("ae_hrnet_w32", "ae_hrnet_w32_v0", "ae_res50_v0", "higherhrnet_w32", "higherhrnet_w32_udp")
TOLERANCE = 5e-5  # in standard deviations; 5.7e-6 was measured at the worst


@dataclass(frozen=True)
class Run:
    """Our network on a golden, all of whose cases see one image: the reference's names to our tensors for it, and what
    the network gives for it and for its mirror image."""

    golden: PoseGolden
    variant: Variant
    model: nn.Module
    raw: dict[str, Tensor]
    outputs: dict[str, Tensor]


@pytest.fixture(scope="module", params=(*TOP_DOWN, *BOTTOM_UP))
def run(request: pytest.FixtureRequest) -> Run:
    golden, variant = load_pose(request.param), find(request.param)
    state = {key: torch.from_numpy(value) for key, value in golden.state.items()}
    model = load_variant(variant, Checkpoint(state, request.param, None, None))
    image = torch.from_numpy(golden.image)
    with torch.inference_mode():
        levels = model.backbone(torch.cat((image, image.flip(3))))
        maps = model.head(levels)
        return Run(golden, variant, model, named(model, levels, maps, golden), model.head.decode(maps))


def named(model: nn.Module, levels: Sequence, maps: Tensor | Sequence, golden: PoseGolden) -> dict[str, Tensor]:
    """The tensors under the reference's names."""
    if isinstance(model.backbone, MSPN):
        last = sum(map(len, levels)) - 1
        return numbered("backbone", levels) | {f"head/{last}": maps}
    if isinstance(model.head, SimCCHead | RTMCCHead):
        maps = tuple(model.head.decode(maps).values())
    if isinstance(maps, Tensor) and "head/1" in golden.raw:
        if "tags" in model.head.decode(maps):
            maps = maps.chunk(2, 1)
        else:  # integral regression gives coordinates, which are our decoder's, and then probabilities
            maps = maps.mean((2, 3)), maps.flatten(2).softmax(-1).view_as(maps)
    elif isinstance(maps, Tensor) and "head/0" in golden.raw:
        maps = (maps,)
    if isinstance(model.backbone, ResNet):  # the reference's gives its last level alone
        levels = levels[-1] if "backbone" in golden.raw else levels[-1:]
    return numbered("backbone", levels) | numbered("head", maps)


def numbered(name: str, tensors: Tensor | Sequence) -> dict[str, Tensor]:
    """A tensor by its name, or those of a sequence by theirs and their number."""
    if isinstance(tensors, Tensor):
        return {name: tensors}
    return {k: v for i, inner in enumerate(tensors) for k, v in numbered(f"{name}/{i}", inner).items()}


def test_every_tensor_equals_the_reference(run: Run) -> None:
    for name, sample in run.golden.raw.items():
        training = name.replace("head/", "^head.predict_layers.") + "."
        # All but the coordinates of integral regression, and what only training needs.
        if sample.shape[-1] > 2 and not any(part in training for part in run.variant.unused):
            assert sample.error(run.raw[name][:1].numpy()) < TOLERANCE, name


@pytest.mark.parametrize("run", TOP_DOWN, indirect=True)
def test_keypoints_equal_the_reference(run: Run) -> None:
    size = run.golden.image.shape[2:]
    views = [{name: value[i : i + 1].numpy() for name, value in run.outputs.items()} for i in range(2)]
    for case in run.golden.cases.values():
        mirrored = views[1] if case.flip else None
        spec, skeleton, spacing = run.variant.decode, run.variant.skeleton, run.variant.input.spacing
        parts, scores = keypoints(views[0], mirrored, spec, skeleton, spacing, size)
        points = parts * size[::-1]
        # Where a map is nearly flat a Newton step leads far away, and rounding with it.
        inside = ((case.keypoints >= 0) & (case.keypoints <= size[::-1])).all(-1)
        np.testing.assert_allclose(points[inside], case.keypoints[inside], atol=0.03)
        np.testing.assert_allclose(points[~inside], case.keypoints[~inside], atol=0.3)
        np.testing.assert_allclose(scores, case.scores, atol=1e-5)


def test_parameters_are_those_of_the_reference(run: Run) -> None:
    others = ("running_mean", "running_var", "num_batches_tracked", *run.variant.unused)
    values = [v for key, v in run.golden.state.items() if not any(part in key for part in others)]
    assert sum(p.numel() for p in run.model.parameters()) == sum(value.size for value in values)
