"""Networks that read heatmaps against OpenMMLab's numbers, tensor by tensor and detection by detection."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from found import found_in
from golden.agreement import Logarithms, assert_detections_agree, assert_tensors_agree
from golden.catalog import networks
from golden.reader import Case, Golden, load, load_ops
from reference import assert_parameters_agree, load_network
from reference_names import named
from torch import Tensor, nn

from detforge.deploy.card import Card, Provenance
from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.forms import Centripetal, Corners, Extremes, Form, Peaks
from detforge.deploy.inputs.resize import ResizedFrame
from detforge.deploy.results.instances import Instances
from detforge.models.heads.center import CenterHead
from detforge.models.heads.centripetal import CentripetalHead
from detforge.models.heads.corner import CornerHead
from detforge.models.heads.extreme import ExtremeHead, aggregated
from detforge.models.variant import Variant
from detforge.models.zoo import find
from detforge.plugins.deform_conv.op import DeformConv

# In standard deviations. Where an offset lies next to a border, a hair decides what a deformable convolution samples.
TOLERANCE, FOR_DEFORMABLE = 1e-3, 5e-4  # and this for each; processors with AVX-512 are ten times nearer
# Everything that the reference gives, which has no threshold but this one for Soft-NMS.
EVERYTHING = {
    "peaks": Suppress("none", conf=0.0),
    "corners": Suppress("gaussian", conf=0.001, iou=0.5),
    "centripetal": Suppress("gaussian", conf=0.001, iou=0.5),
    # The reference's Soft-NMS leaves copies of the boxes that it drops, whose scores are lower.
    "extremes": Suppress("gaussian", conf=0.01, floor=0.001, iou=0.5, inclusive=True, ghosts=True),
}


@dataclass(frozen=True)
class Run:
    """Our network on a golden: the reference's names to our tensors, and our detections, for each case."""

    golden: Golden
    variant: Variant
    model: nn.Module
    raw: dict[str, dict[str, Tensor | Logarithms | None]]
    found: dict[str, Instances]


@pytest.fixture(scope="module", params=networks("peaks", "corners", "centripetal", "extremes"))
def run(request: pytest.FixtureRequest) -> Run:
    golden = load(request.param)
    variant, model = load_network(request.param, golden.state)
    raw, found = {}, {}
    for tag, case in golden.cases.items():
        with torch.inference_mode():
            levels = model.backbone(torch.from_numpy(case.image))
            features = levels[-1] if model.neck is None else model.neck(levels)
            maps = model.bbox_head(features)
            outputs = model.bbox_head.decode(maps, case.image.shape[2:])
            raw[tag] = named(model.bbox_head, model, case, levels, [features], maps)
            mirrored = model(torch.from_numpy(case.image).flip(3)) if case.flip else None
        found[tag] = detections(outputs, mirrored, variant, case)
    return Run(golden, variant, model, raw, found)


def detections(
    outputs: dict[str, Tensor], mirrored: dict[str, Tensor] | None, variant: Variant, case: Case
) -> Instances:
    card = variant.card(variant.labels, Provenance("", None, "fp32", {}))
    card = replace(card, suppress=EVERYTHING[card.form.kind])
    frame = ResizedFrame(case.image_size, case.image_size, case.image.shape[2:], case.offset)
    views = [None if view is None else {k: v[0].numpy() for k, v in view.items()} for view in (outputs, mirrored)]
    return found_in(views[0], card, frame, views[1])


def deformable_layers(model: nn.Module) -> int:
    return sum(isinstance(module, DeformConv) for module in model.modules())


def test_every_tensor_equals_the_reference(run: Run) -> None:
    for tag, case in run.golden.cases.items():
        assert_tensors_agree(case.raw, run.raw[tag], TOLERANCE + FOR_DEFORMABLE * deformable_layers(run.model))


def test_detections_equal_the_reference(run: Run) -> None:
    for tag, case in run.golden.cases.items():
        assert_detections_agree(case, run.found[tag], slack=max(1, deformable_layers(run.model)))


def test_parameters_are_those_of_the_reference(run: Run) -> None:
    assert_parameters_agree(run.variant, run.model, run.golden.state)


def card(form: Form, suppress: Suppress) -> Card:
    """A card for five classes."""
    variant = find("centernet_r18")
    provenance = Provenance("", None, "fp32", {})
    return replace(variant.card(tuple("abcde"), provenance), form=form, suppress=suppress)


@pytest.mark.parametrize("case", load_ops("extremes"), ids=lambda case: case["name"])
def test_extreme_points_are_the_reference_s(case: dict) -> None:
    """Of maps with clear peaks; boxes in cells, which the reference does not clip."""
    args, names = case["args"], {"heat": "heats", "regr": "regrs"}
    maps = {k.replace(k[-4:], names[k[-4:]]): torch.from_numpy(value) for k, value in case["in"].items()}
    height, width = (4 * side for side in maps["t_heats"].shape[2:])
    outputs = ExtremeHead(5, 8, peaks=args["K"], edge=args["aggr_weight"]).decode(maps, (height, width))
    rules = card(Extremes(), Suppress("none", conf=0.0, max_det=1000))
    found = found_in({k: v[0].numpy() for k, v in outputs.items()}, rules, ResizedFrame(*[(height, width)] * 3))
    expected = case["out"]["dets0"]
    assert len(found) == len(expected) > 5
    np.testing.assert_allclose(found.scores, expected[:, 4], atol=1e-5)
    for box, score, label in zip(found.boxes, found.scores, found.labels, strict=True):
        same = (np.abs(expected[:, 4] - score) < 1e-5) & (expected[:, -1] == label)
        distance = np.abs(np.clip(4 * expected[same, :4], 0, [width, height] * 2) - box).max(1)
        assert distance.min() < 1e-3


@pytest.mark.parametrize("case", load_ops("extreme_edges"), ids=lambda case: case["name"])
def test_edges_add_up_as_in_the_reference(case: dict) -> None:
    ours = aggregated(torch.from_numpy(case["in"]["heat"]), 3 if case["name"][0] == "h" else 2, 0.1)
    np.testing.assert_allclose(ours.numpy(), case["out"]["y"], atol=2e-6)


def frame_of(arguments: dict) -> ResizedFrame:
    canvas = tuple(arguments["input_hw"])
    top, bottom, left, right = arguments["border"] or (0, canvas[0], 0, canvas[1])
    size = (bottom - top, right - left)
    return ResizedFrame(size, size, canvas, (top, left))


@pytest.mark.parametrize("case", [*load_ops("centers"), *load_ops("corners")], ids=lambda case: case["name"])
def test_decoding_equals_the_reference(case: dict) -> None:
    """Of maps with clear peaks, through the head and the runtime."""
    given = {name: torch.from_numpy(value) for name, value in case["in"].items()}
    frame = frame_of(case["args"])
    if "heat" in given:
        head: nn.Module = CenterHead(5, 8, peaks=case["args"]["topk"])
        maps = {"heat": given["heat"].double().logit().float(), "size": given["wh"], "offset": given["offset"]}
        rules = card(Peaks(), EVERYTHING["peaks"])
    else:
        kind, form = (CornerHead, Corners()) if "tl_emb" in given else (CentripetalHead, Centripetal())
        head = kind(5, 8, peaks=case["args"]["corner_topk"])
        maps = {name.replace("shift", "centripetal_shift"): value for name, value in given.items()}
        rules = card(form, replace(EVERYTHING[form.kind], max_det=case["args"]["max_per_img"]))
    outputs = head.decode(maps, frame.canvas_size)
    found = found_in({name: value[0].numpy() for name, value in outputs.items()}, rules, frame)
    np.testing.assert_allclose(found.scores, case["out"]["scores"], atol=1e-6)
    np.testing.assert_allclose(found.boxes, case["out"]["bboxes"], atol=1e-4)
    np.testing.assert_array_equal(found.labels, case["out"]["labels"])
