"""Two-stage networks against their references' numbers: every tensor, the proposals and the detections."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from found import found_in
from golden.agreement import assert_detections_agree, assert_tensors_agree
from golden.catalog import networks
from golden.reader import Golden, load
from reference import (
    assert_parameters_agree,
    backbone_levels,
    head_outputs,
    load_network,
    numbered,
    reference_card,
    reference_found,
    shortened,
    stage_outputs,
)
from torch import Tensor, nn

from detforge.deploy.card import Provenance
from detforge.deploy.inputs.resize import ResizedFrame
from detforge.deploy.results.instances import Instances
from detforge.models.variant import Variant

TOLERANCE = 3e-4  # in standard deviations
CONTESTED = 0.005  # of proposals and detections; overlaps may be next to NMS's limit
NEAR = 0.02  # px; from a proposal to the reference's
# Switchable convolutions one behind the other magnify rounding: in fp32 and in float64 their results differ as much.
ROUGH = {"detectors_cascade_r50": 20}


@dataclass(frozen=True)
class Run:
    """Our network on a golden: the reference's names to our tensors, our proposals and detections, for each case."""

    golden: Golden
    slack: float
    variant: Variant
    model: nn.Module
    raw: dict[str, dict[str, Tensor | None]]
    proposals: dict[str, Tensor]
    found: dict[str, Instances]


@pytest.fixture(scope="module", params=networks("proposed"))
def run(request: pytest.FixtureRequest) -> Run:
    golden = load(request.param)
    variant, model = load_network(request.param, golden.state)
    card = reference_card(model.roi_head, variant.card(variant.labels, Provenance(request.param, None, "fp32", {})))
    if request.param != "faster_rcnn_r50":  # one network shows that images need no padding; the others save the time
        golden = shortened(golden, variant.input.place)
    raw, proposals, found = {}, {}, {}
    for tag, case in golden.cases.items():
        image, size = torch.from_numpy(case.image), torch.tensor([case.image_size], dtype=torch.float32)
        with torch.inference_mode():
            levels = model.backbone(image)
            features = model.neck([levels[i] for i in model.levels])
            stages = model.roi_head(features, torch.from_numpy(case.proposals)[None], size)
            outputs = model.detect(features, size)
            maps = model.rpn_head(features)
            proposed = model.rpn_head.propose(maps, size)
            groups = {
                "backbone": backbone_levels(levels, case.raw),
                "body": levels,
                "neck": [features] if "neck/0/0" in case.raw else features,
                "rpn": head_outputs(model.rpn_head, maps, case.raw),
                **stage_outputs(model.roi_head, stages, case.raw),
            }
        raw[tag] = {k: v for name, group in groups.items() for k, v in numbered(name, group).items()}
        proposals[tag] = proposed.boxes[0][proposed.scores[0] > 0]
        frame = ResizedFrame(case.image_size, case.image_size, case.image.shape[2:])
        arrays = {name: value[0].numpy() for name, value in outputs.items()}
        found[tag] = reference_found(model.roi_head, found_in(arrays, card, frame), arrays, len(case.boxes))
    return Run(golden, ROUGH.get(request.param, 1), variant, model, raw, proposals, found)


def test_every_tensor_equals_the_reference(run: Run) -> None:
    for tag, case in run.golden.cases.items():
        # Our operators move corners that are more than the canvas's size outside, where proposals are not clipped.
        size = np.array(case.image.shape[:1:-1] * 2)
        far = np.flatnonzero(((case.proposals < -size) | (case.proposals > 2 * size)).any(1))
        assert len(far) < 5
        raw = {name: sample.without(far) if name.startswith("roi") else sample for name, sample in case.raw.items()}
        assert_tensors_agree(raw, run.raw[tag], TOLERANCE * run.slack)


def test_proposals_equal_the_reference(run: Run) -> None:
    for tag, case in run.golden.cases.items():
        ours = run.proposals[tag].numpy()
        assert len(ours) == len(case.proposals) > 30
        apart = np.abs(case.proposals[:, None] - ours).max(-1)
        for axis in (0, 1):
            assert np.mean(apart.min(axis) > NEAR * run.slack) <= CONTESTED


def test_detections_equal_the_reference(run: Run) -> None:
    for tag, found in run.found.items():
        assert len(found) == len(run.golden.cases[tag].boxes) > 30
        assert_detections_agree(run.golden.cases[tag], found, CONTESTED, run.slack)


def test_parameters_are_those_of_the_reference(run: Run) -> None:
    assert_parameters_agree(run.variant, run.model, run.golden.state)
