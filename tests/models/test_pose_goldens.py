"""Pose networks against OpenMMLab's numbers, tensor by tensor and keypoint by keypoint."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from golden.agreement import Logarithms, assert_near, assert_tensors_agree
from golden.catalog import networks
from golden.reader import PoseGolden, load_pose
from reference import assert_parameters_agree, backbone_levels, head_outputs, load_network, numbered
from torch import Tensor, nn

from detforge.models.variant import Variant

TOP_DOWN = networks("heatmap", "offsets", "hough", "simcc")
BOTTOM_UP = networks("tags")
TOLERANCE = 5e-5  # in standard deviations; 5.7e-6 was measured at the worst


@dataclass(frozen=True)
class Run:
    """Our network on a golden, all of whose cases see one image: the reference's names to our tensors for it, and what
    the network gives for it and for its mirror image."""

    golden: PoseGolden
    variant: Variant
    model: nn.Module
    raw: dict[str, Tensor | Logarithms | None]
    outputs: dict[str, Tensor]


@pytest.fixture(scope="module", params=[*TOP_DOWN, *BOTTOM_UP])
def run(request: pytest.FixtureRequest) -> Run:
    golden = load_pose(request.param)
    variant, model = load_network(request.param, golden.state)
    image = torch.from_numpy(golden.image)
    with torch.inference_mode():
        levels, mirrored = model.backbone(image), model.backbone(image.flip(3))
        maps = model.head(levels)
        named = numbered("backbone", backbone_levels(levels, golden.raw))
        named |= numbered("head", head_outputs(model.head, maps, golden.raw))
        views = model.head.decode(maps), model.head.decode(model.head(mirrored))
    return Run(golden, variant, model, named, {name: torch.cat([view[name] for view in views]) for name in views[0]})


def test_every_tensor_equals_the_reference(run: Run) -> None:
    assert_tensors_agree(run.golden.raw, run.raw, TOLERANCE)


@pytest.mark.parametrize("run", TOP_DOWN, indirect=True)
def test_keypoints_equal_the_reference(run: Run) -> None:
    size = run.golden.image.shape[2:]
    views = [{name: value[i : i + 1].numpy() for name, value in run.outputs.items()} for i in range(2)]
    for tag, case in run.golden.cases.items():
        mirrored = views[1] if case.flip else None
        form, spacing = run.variant.form, run.variant.input.place.spacing
        parts, scores = form.parts(views[0], mirrored, run.variant.skeleton, size, spacing)
        # Where a map is nearly flat a Newton step leads far away, and rounding with it.
        inside = ((case.keypoints >= 0) & (case.keypoints <= size[::-1])).all(-1, keepdims=True)
        assert_near(f"keypoint of case {tag}", parts * size[::-1], case.keypoints, np.where(inside, 0.03, 0.3))
        assert_near(f"score of case {tag}", scores, case.scores, 1e-5)


def test_parameters_are_those_of_the_reference(run: Run) -> None:
    assert_parameters_agree(run.variant, run.model, run.golden.state)
