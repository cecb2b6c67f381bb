"""Dense networks against OpenMMLab's numbers, tensor by tensor and detection by detection."""

from dataclasses import dataclass, replace

import pytest
import torch
from found import found_in
from golden.agreement import Logarithms, assert_detections_agree, assert_tensors_agree
from golden.catalog import networks
from golden.reader import Golden, load
from reference import assert_parameters_agree, backbone_levels, head_outputs, load_network, numbered
from torch import Tensor, nn

from detforge.deploy.card import Provenance
from detforge.deploy.inputs.resize import ResizedFrame
from detforge.deploy.results.instances import Instances
from detforge.models.variant import Variant

TOLERANCE = 3e-4  # in standard deviations; 9.1e-5 was measured at the worst


@dataclass(frozen=True)
class Run:
    """Our network on a golden: the reference's names to our tensors, and our detections, for each case."""

    golden: Golden
    variant: Variant
    model: nn.Module
    raw: dict[str, dict[str, Tensor | Logarithms | None]]
    found: dict[str, Instances]


@pytest.fixture(scope="module", params=networks("dense"))
def run(request: pytest.FixtureRequest) -> Run:
    golden = load(request.param)
    variant, model = load_network(request.param, golden.state)
    card = variant.card(variant.labels, Provenance(request.param, None, "fp32", {}))
    card = replace(card, suppress=replace(card.suppress, conf=0.05))
    raw, found = {}, {}
    for tag, case in golden.cases.items():
        with torch.inference_mode():
            levels = model.backbone(torch.from_numpy(case.image))
            features = model.neck([levels[i] for i in model.levels])
            logits = model.bbox_head(features)
            outputs = model.bbox_head.decode(logits)
        head = head_outputs(model.bbox_head, logits, case.raw)
        groups = {"backbone": backbone_levels(levels, case.raw), "neck": features, "head": head}
        raw[tag] = {k: v for name, group in groups.items() for k, v in numbered(name, group).items()}
        frame = ResizedFrame(case.image_size, case.image_size, case.image.shape[2:])
        found[tag] = found_in({name: value[0].numpy() for name, value in outputs.items()}, card, frame)
    return Run(golden, variant, model, raw, found)


@pytest.mark.parametrize("tag", ["a", "b"])
def test_every_tensor_equals_the_reference(run: Run, tag: str) -> None:
    assert_tensors_agree(run.golden.cases[tag].raw, run.raw[tag], TOLERANCE)


@pytest.mark.parametrize("tag", ["a", "b"])
def test_detections_equal_the_reference(run: Run, tag: str) -> None:
    assert len(run.found[tag]) > 80
    assert_detections_agree(run.golden.cases[tag], run.found[tag])


def test_parameters_are_those_of_the_reference(run: Run) -> None:
    assert_parameters_agree(run.variant, run.model, run.golden.state)


def test_forward_gives_the_decoded_outputs(run: Run) -> None:
    with torch.inference_mode():
        outputs = run.model(torch.zeros(2, 3, 64, 96))
    points = (8 * 12 + 4 * 6 + 2 * 3 + 1 * 2 + 1) * run.variant.form.anchors
    assert outputs.pop("boxes").shape == (2, points, 4)
    assert outputs.pop("scores").shape == (2, points, 80)
    assert all(value.shape == (2, points) for value in outputs.values())
