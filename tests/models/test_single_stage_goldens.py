"""Single-stage pose networks against their authors' numbers: every tensor, and every person."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from found import candidates_in
from golden.agreement import assert_near, assert_tensors_agree
from golden.catalog import networks
from golden.reader import People, PoseGolden, load_pose
from reference import assert_parameters_agree, head_outputs, load_network, numbered
from torch import Tensor, nn

from detforge.deploy.card import Card, Provenance
from detforge.deploy.inputs.crop import WarpedFrame
from detforge.deploy.inputs.geometry import Frame
from detforge.deploy.inputs.resize import ResizedFrame
from detforge.deploy.results.instances import Instances
from detforge.models.pose import PoseNetwork, TwoViewNetwork
from detforge.models.variant import Variant
from detforge.plugins.deform_conv.op import DeformConv

# In standard deviations. Where an offset lies next to a border, a hair decides what a deformable convolution samples.
TOLERANCE, FOR_DEFORMABLE = 5e-5, 1.7e-4  # and this for each


Named = dict[str, Tensor]


@dataclass(frozen=True)
class Run:
    """Our network on a golden: the reference's names to our tensors, and the outputs for both views of the image."""

    golden: PoseGolden
    variant: Variant
    model: nn.Module
    raw: dict[str, Tensor]
    views: list[dict[str, np.ndarray]]


@pytest.fixture(scope="module", params=networks("centres", "roots"))
def run(request: pytest.FixtureRequest) -> Run:
    golden = load_pose(request.param)
    variant, model = load_network(request.param, golden.state)
    image = torch.from_numpy(golden.image)
    with torch.inference_mode():
        if isinstance(model, PoseNetwork):
            raw, outputs = of_pose_network(model, image, golden)
        else:
            raw, outputs = of_heatmap_detector(model, image, golden)
    return Run(golden, variant, model, raw, [{k: v[i].numpy() for k, v in outputs.items()} for i in range(2)])


def of_heatmap_detector(model: nn.Module, image: Tensor, golden: PoseGolden) -> tuple[Named, dict[str, Tensor]]:
    """CenterNet's tensors without a prefix, and the outputs for both views."""
    levels = model.backbone(torch.cat((image, image.flip(3))))
    maps = model.bbox_head(levels[-1] if model.neck is None else model.neck(levels))
    raw = head_outputs(model.bbox_head, {name: value[:1] for name, value in maps.items()}, golden.raw)
    return raw, model.bbox_head.decode(maps, image.shape[2:])


def of_pose_network(model: nn.Module, image: Tensor, golden: PoseGolden) -> tuple[Named, dict[str, Tensor]]:
    """mmpose's tensors by the part that gives them, and the outputs for both views."""
    levels = model.backbone(torch.cat((image, image.flip(3))))
    joined = model.neck(levels)
    maps = model.head(joined)
    parts = {"backbone": levels, "neck": joined, "head": maps}
    raw = {k: v for name, part in parts.items() for k, v in numbered(name, [x[:1] for x in part]).items()}
    return raw, model.head.decode(maps)


@pytest.mark.parametrize("name", networks("people"))
def test_decoded_people_equal_the_reference(name: str) -> None:
    """The network merges both views by itself."""
    golden = load_pose(name)
    variant, model = load_network(name, golden.state)
    assert_parameters_agree(variant, model, golden.state)
    image = torch.from_numpy(golden.image)
    size = image.shape[2:]
    frame = WarpedFrame(size, size, (size[1] / 2, size[0] / 2), size[::-1], False)
    for tag, case in golden.cases.items():
        assert isinstance(model, PoseNetwork)
        network = TwoViewNetwork(model.backbone, model.head, model.neck) if case.flip else model
        with torch.inference_mode():
            outputs = {k: v[0].numpy() for k, v in network(image).items()}
        people = candidates_in(outputs, card_of(variant), frame)
        assert_near(f"keypoint of case {tag}", people.keypoints[..., :2], case.keypoints, 1e-3)
        assert_near(f"score of case {tag}", people.keypoints[..., 2], case.scores, 1e-5)
    with torch.inference_mode():
        levels = model.backbone(image)
        parts = {"backbone": levels, "neck": model.neck(levels)}
    assert_tensors_agree(golden.raw, {k: v for n, p in parts.items() for k, v in numbered(n, p).items()}, TOLERANCE)


def card_of(variant: Variant) -> Card:
    """The Card without a limit on scores."""
    card = variant.card(variant.labels, Provenance("", None, "fp32", {}))
    return replace(card, suppress=replace(card.suppress, conf=0.0))


def found(run: Run, case: People) -> Instances:
    size = run.golden.image.shape[2:]
    if run.variant.form.place == "cover":
        frame: Frame = WarpedFrame(size, size, (size[1] / 2, size[0] / 2), size[::-1], False)
    else:
        frame = ResizedFrame(size, size, size)
    return candidates_in(run.views[0], card_of(run.variant), frame, run.views[1] if case.flip else None)


def deformable_layers(model: nn.Module) -> int:
    return sum(isinstance(module, DeformConv) for module in model.modules())


def test_every_tensor_equals_the_reference(run: Run) -> None:
    assert_tensors_agree(run.golden.raw, run.raw, TOLERANCE + FOR_DEFORMABLE * deformable_layers(run.model))


def test_people_equal_the_reference(run: Run) -> None:
    slack = max(1, deformable_layers(run.model))
    # Rounding changes the order of people with nearly equal scores, and more so behind deformable layers.
    far = 2e-3 if slack == 1 else 0.15
    for tag, case in run.golden.cases.items():
        people = found(run, case)
        if case.boxes is not None:
            assert_near(f"person's score of case {tag}", people.scores, case.totals, 5e-5 * slack)
            assert_near(f"box of case {tag}", people.boxes, case.boxes, 1e-2 * slack, far)
        # Of two peaks at nearly the same distance, rounding decides.
        near = {"limit": 1e-2 * slack, "far": far}
        assert_near(f"keypoint of case {tag}", people.keypoints[..., :2], case.keypoints, **near)
        near = {"limit": 2e-4 * slack, "far": far}
        # CenterNet's score of a keypoint whose map has no peak is -1; mmpose's are negative here, with these weights.
        expected = case.scores.clip(0) if run.variant.form.kind == "centres" else case.scores
        assert_near(f"score of case {tag}", people.keypoints[..., 2], expected, **near)


def test_parameters_are_those_of_the_reference(run: Run) -> None:
    assert_parameters_agree(run.variant, run.model, run.golden.state)
