"""Pose networks against OpenMMLab's numbers, tensor by tensor and keypoint by keypoint."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from golden.agreement import Logarithms, assert_near, assert_tensors_agree
from golden.catalog import networks
from golden.reader import PoseGolden, load_pose, read_manifest
from reference import assert_parameters_agree, backbone_levels, head_outputs, load_network, numbered
from small_configs import tuples
from torch import Tensor, nn

from detforge.models.checkpoint import Checkpoint, load_variant
from detforge.models.config.text import Text
from detforge.models.config.variant import describe
from detforge.models.heads.nsrm import StructureHead
from detforge.models.variant import Variant

TOP_DOWN = networks("heatmap", "offsets", "hough", "simcc", "coordinates")
BOTTOM_UP = networks("tags")
CONFIGURED = [case for case in TOP_DOWN if "model" in read_manifest(case.values[0])]
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
        levels = model.backbone(image)
        features = model.neck(levels)
        maps = model.head(features)
        named = names_of_reference(model, golden, levels, features, maps)
        flips = any(case.flip for case in golden.cases.values())
        views = [model.head.decode(maps), *([model(image.flip(3))] if flips else [])]
    return Run(golden, variant, model, named, {name: torch.cat([view[name] for view in views]) for name in views[0]})


def names_of_reference(
    model: nn.Module, golden: PoseGolden, levels: Any, features: Any, maps: Any
) -> dict[str, Tensor | Logarithms | None]:
    if isinstance(model.head, StructureHead):
        return {"features": levels, **head_outputs(model.head, maps, golden.raw)}
    named = numbered("backbone", backbone_levels(levels, golden.raw))
    if "neck/0" in golden.raw:
        named |= numbered("neck", [x.view(golden.raw["neck/0"].shape) for x in features])
    return named | numbered("refine" if "refine" in golden.raw else "head", head_outputs(model.head, maps, golden.raw))


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
        assert_near(f"score of case {tag}", scores, case.scores, 1e-4)


def test_parameters_are_those_of_the_reference(run: Run) -> None:
    assert_parameters_agree(run.variant, run.model, run.golden.state)


@pytest.mark.parametrize("run", CONFIGURED, indirect=True)
def test_the_configuration_describes_the_network(run: Run) -> None:
    """With the same weights, form and input: what a checkpoint of one's own training becomes."""
    model, pipeline = (tuples(run.golden.configuration[key]) for key in ("model", "pipeline"))
    text = Text({"model": model, "test_dataloader": {"dataset": {"pipeline": pipeline}}}, {})
    names, pairs = run.variant.skeleton.keypoints, run.variant.skeleton.pairs
    flips = list(range(len(names)))
    for i, j in pairs:
        flips[i], flips[j] = j, i
    meta = {"dataset_meta": {"keypoint_name2id": {name: i for i, name in enumerate(names)}, "flip_indices": flips}}
    described = describe(text, meta).variant
    assert (described.form, described.input) == (run.variant.form, run.variant.input)
    weights = {key: torch.from_numpy(value) for key, value in run.golden.state.items()}
    ours = load_variant(described, Checkpoint(weights, "", None, None)).state_dict()
    theirs = run.model.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], value) for key, value in theirs.items())
