"""Networks of fields along limbs against their references: every tensor, and the people."""

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from golden.agreement import assert_near, assert_tensors_agree
from golden.catalog import networks
from golden.reader import PoseGolden, load_pose
from reference import assert_parameters_agree, load_network
from torch import Tensor, nn

from detforge.deploy.forms.form import Run
from detforge.deploy.inputs.resize import Resize
from detforge.models.variant import Variant


@dataclass(frozen=True)
class Seen:
    """Our network on a golden: its tensors under the reference's names, and its outputs for image and mirror image."""

    golden: PoseGolden
    variant: Variant
    model: nn.Module
    raw: dict[str, Tensor]
    views: list[dict[str, Tensor]]


def named(stages: list[Any], prefix: str) -> dict[str, Tensor]:
    """The tensors of each stage or stack; of the mirrored image those of the last one."""
    tensors: dict[str, Tensor] = {}
    for i, stage in enumerate(stages):
        if len(stage) == 2:
            names = (f"{prefix or f'stage{i + 1}'}/{name}" for name in ("paf", "heat"))
        else:
            names = (prefix or f"stack{i}/scale{scale}" for scale in range(len(stage)))
            stage = stage[:1] if prefix else stage
        tensors |= dict(zip(names, stage, strict=False))
    return tensors


@pytest.fixture(scope="module", params=networks("affinity", "body_parts"))
def seen(request: pytest.FixtureRequest) -> Seen:
    golden = load_pose(request.param)
    variant, model = load_network(request.param, golden.state)
    image = torch.from_numpy(golden.image)
    raw: dict[str, Tensor] = {}
    views: list[dict[str, Tensor]] = []
    with torch.inference_mode():
        for given, prefix in ((image, ""), (image.flip(3), "flipped")):
            features = model.backbone(given)
            stages = model.head(features)
            views.append(model.head.decode(stages))
            raw = {"feature": features} | named(stages, prefix) | raw
    return Seen(golden, variant, model, raw, views)


def test_every_tensor_equals_the_reference(seen: Seen) -> None:
    assert_tensors_agree(seen.golden.raw, seen.raw, 5e-5)


def test_people_equal_the_reference(seen: Seen) -> None:
    frame = Resize().whole(seen.golden.image.shape[2:])
    arrays = [{name: tensor[0].numpy() for name, tensor in view.items()} for view in seen.views]
    for tag, case in seen.golden.cases.items():
        views = [Run(outputs, frame, bool(i)) for i, outputs in enumerate(arrays[: 1 + case.flip])]
        form = replace(seen.variant.form, flip=case.flip)
        given = (views, frame.content_size) if form.kind == "body_parts" else form.merged(views, seen.variant.skeleton)
        points, scores, _ = form.group(*given, *([seen.variant.skeleton] if form.kind == "body_parts" else []))
        # Thousands of weak links of random weights are in a row; a change of 1e-5 may swap two of them.
        assert_near(f"keypoint of case {tag}", points, case.keypoints, 0.01, far=0.01)
        assert_near(f"score of case {tag}", scores, case.scores, 1e-5, far=0.01)


def test_parameters_are_those_of_the_reference(seen: Seen) -> None:
    assert_parameters_agree(seen.variant, seen.model, seen.golden.state)


@pytest.mark.parametrize("name", networks("composite"))
def test_fields_equal_the_reference(name: str) -> None:
    golden = load_pose(name)
    variant, model = load_network(name, golden.state)
    with torch.inference_mode():
        levels = model.backbone(torch.from_numpy(golden.image))
        outputs = model.head.decode(model.head(levels))
        raw = model.head(levels)
    fields = {"backbone": levels[-1]}
    for field, ours, whole in (("cif", ("heatmaps", "places"), raw[0]), ("caf", ("limbs", "ends"), raw[1])):
        confidences, others = (outputs[output] for output in ours)
        fields[field] = torch.cat((whole[:, :, :1], confidences[:, :, None], others), 2)
    assert_tensors_agree(golden.raw, fields, 5e-5)
    assert_parameters_agree(variant, model, golden.state)
