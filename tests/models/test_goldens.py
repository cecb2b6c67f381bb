"""Dense networks against OpenMMLab's numbers, tensor by tensor and detection by detection."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from found import found_in
from golden.agreement import Logarithms, assert_detections_agree, assert_tensors_agree
from golden.catalog import networks
from golden.reader import Golden, load
from reference import assert_parameters_agree, load_network, reference_card, reference_outputs, shortened
from reference_names import named
from torch import Tensor, nn

from detforge.deploy.card import Provenance
from detforge.deploy.forms.boxes import has_area
from detforge.deploy.inputs.resize import ResizedFrame
from detforge.deploy.results.instances import Instances
from detforge.models.variant import Variant

TOLERANCE = 3e-4  # in standard deviations; 9.1e-5 was measured at the worst
CONTESTED = 0.005  # of the detections; of two, the overlap may be so near NMS's limit that shifting them apart decides
FAR = 1e5  # px; the reference shifts boxes apart by class before NMS, for which floats have no room here


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
    card = reference_card(model.bbox_head, card)
    if request.param != "gfl_r50":  # one network shows that images need no padding; the others save the time
        golden = shortened(golden, card.input.place)
    raw, found = {}, {}
    for tag, case in golden.cases.items():
        with torch.inference_mode():
            levels = model.backbone(torch.from_numpy(case.image))
            features = model.neck([levels[i] for i in model.levels])
            logits = model.bbox_head(features)
            outputs = model.bbox_head.decode(logits)
            raw[tag] = named(model.bbox_head, model, case, levels, features, logits)
        frame = ResizedFrame(case.image_size, case.image_size, case.image.shape[2:])
        if not all(map(card.input.place.makes, case.image.shape[2:])):
            continue  # levels of other canvases have other sizes
        arrays = reference_outputs(model.bbox_head, {name: value[0].numpy() for name, value in outputs.items()})
        found[tag] = found_in(arrays, card, frame)
    return Run(golden, variant, model, raw, found)


def test_every_tensor_equals_the_reference(run: Run) -> None:
    for tag, case in run.golden.cases.items():
        assert_tensors_agree(case.raw, run.raw[tag], TOLERANCE)


def test_detections_equal_the_reference(run: Run) -> None:
    for tag, found in run.found.items():
        case = run.golden.cases[tag]
        if np.abs(case.boxes).max() < FAR:
            assert len(found) == len(case.boxes) > 30
            # FoveaBox' and guided anchoring's keep boxes cut to nothing; in their places others follow here.
            real = has_area(case.boxes, run.variant.suppress.inclusive)
            case = replace(case, boxes=case.boxes[real], scores=case.scores[real], labels=case.labels[real])
            assert_detections_agree(case, found[: len(case.boxes)], CONTESTED)


def test_parameters_are_those_of_the_reference(run: Run) -> None:
    assert_parameters_agree(run.variant, run.model, run.golden.state)


def test_forward_gives_the_decoded_outputs(run: Run) -> None:
    with torch.inference_mode():
        place = run.variant.input.place
        canvas = place.size if place.pad.multiple == 1 and place.size else (128, 256)
        outputs = run.model(torch.zeros(2, 3, *canvas))
    points = sum(run.variant.form.level_sizes(*canvas))
    assert outputs.pop("boxes").shape == (2, points, 4)
    assert outputs.pop("scores").shape == (2, points, len(run.variant.labels))
    assert all(value.shape[:2] == (2, points) for value in outputs.values())
