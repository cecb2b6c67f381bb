"""Networks against OpenMMLab's numbers, tensor by tensor and detection by detection."""

import math
import re
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from golden.reader import Case, Golden, load
from reference_names import named
from torch import Tensor, nn

from detforge.deploy.card import Card, Provenance
from detforge.deploy.decode import decode
from detforge.deploy.instances import Instances
from detforge.deploy.postprocess import postprocess
from detforge.deploy.preprocess import Frame
from detforge.deploy.suppress import suppress
from detforge.models.checkpoint import Checkpoint, load_variant
from detforge.models.heads.retina import RetinaHead
from detforge.models.variant import Variant
from detforge.models.zoo import find

NETWORKS = (
    "retinanet_r50",
    "free_anchor_r50",
    "pisa_retinanet_r50",
    "fcos_r50",
    "fcos_r50_center_normbbox",
    "fcos_r50_dcn",
    "atss_r50",
    "gfl_r50",
    "gfl_r101_dcn",
    "gflv2_r50",
    "ld_r18",
    "vfnet_r50",
    "vfnet_r50_mdconv",
    "autoassign_r50",
    "nas_fpn_retinanet_r50",
    "libra_retinanet_r50",
    "ga_retinanet_r50",
    "reppoints_r50",
    "reppoints_r50_gn",
    "reppoints_r50_minmax_gn",
    "reppoints_bbox_r50_gn",
    "yolof_r50",
    "sabl_retinanet_r50",
    "retinanet_effb3",
    "sepc_retinanet_r50",
    "sepclite_retinanet_r50",
    "pconv_retinanet_r50",
    "sepc_freeanchor_r50",
    "spinenet49_retina",
    "spinenet49s_retina",
    "ssd300",
    "ssd512",
    "ssdlite_mobilenetv2",
    "yolov3_d53",
    "yolov3_mobilenetv2",
    "vfnetx_r2_101_mdconv",
    "iou_aware_retinanet_r50",
    "refinedet320_vgg16",
    "yolov3_asff",
    "yolov3_asff_rfb",
    "aploss_retinanet_r101",
    "cspresnext50_panet_spp",
    "cspdarknet53_panet_spp",
)
TIED = re.compile(r"_convs\.[1-9]\.\d\.conv\.")
"""Convolutions of a branch that are those of the first level."""
LAST_PIXEL = ("sabl_retinanet_r50", "aploss_retinanet_r101")
"""Networks whose reference cuts boxes at the last pixel, a pixel before the image's end."""
ROUNDED_DOWN = {"nas_fpn_retinanet_r50": (8, 16, 32, 72, 180)}
"""Strides that stand for levels which round down where the canvas is no multiple of 128, as theirs is."""
UNCUT = (
    "yolov3_d53",
    "yolov3_mobilenetv2",
    "refinedet320_vgg16",
    "yolov3_asff",
    "yolov3_asff_rfb",
    "cspresnext50_panet_spp",
    "cspdarknet53_panet_spp",
)
"""Networks whose reference leaves boxes as they are, beyond the image too."""
LEAST = {"yolov3_asff": 0.01, "yolov3_asff_rfb": 0.01, "cspresnext50_panet_spp": 0.25, "cspdarknet53_panet_spp": 0.25}
"""What a score has to exceed in a reference; in most 0.05."""
BEST = {"yolov3_d53": 1000, "yolov3_mobilenetv2": 1000}
"""How many pairs of anchor and class a reference keeps of all levels together; the runtime keeps as many of each."""
TOLERANCE = 3e-4  # in standard deviations; 9.1e-5 was measured at the worst


@dataclass(frozen=True)
class Run:
    """Our network on a golden: the reference's names to our tensors, and our detections, for each case."""

    golden: Golden
    variant: Variant
    model: nn.Module
    raw: dict[str, dict[str, Tensor]]
    found: dict[str, Instances]


@pytest.fixture(scope="module", params=NETWORKS)
def run(request: pytest.FixtureRequest) -> Run:
    golden, variant = load(request.param), find(request.param)
    state = {key: torch.from_numpy(value) for key, value in golden.state.items()}
    model = load_variant(variant, Checkpoint(state, request.param, None, None))
    card = variant.card(variant.labels, Provenance(request.param, None, "fp32", {}))
    card = replace(card, suppress=replace(card.suppress, conf=LEAST.get(request.param, 0.05)))
    if request.param in ROUNDED_DOWN:
        card = replace(card, decode=replace(card.decode, strides=ROUNDED_DOWN[request.param]))
    raw, found = {}, {}
    for tag, case in golden.cases.items():
        with torch.inference_mode():
            levels = model.backbone(torch.from_numpy(case.image))
            features = model.neck([levels[i] for i in model.levels])
            logits = model.bbox_head(features)
            outputs = model.bbox_head.decode(logits)
            # Some references keep only the levels that their neck takes.
            kept = levels if f"backbone/{len(levels) - 1}" in case.raw else [levels[i] for i in model.levels]
            raw[tag] = named(model, kept, features, logits, case)
        found[tag] = detections(request.param, outputs, card, case)
    return Run(golden, variant, model, raw, found)


def detections(name: str, outputs: dict[str, Tensor], card: Card, case: Case) -> Instances:
    """What the runtime finds, by the rules of the reference where they differ."""
    arrays = {key: value[0].numpy() for key, value in outputs.items()}
    if name in BEST:
        least = np.partition(arrays["scores"], -BEST[name], axis=None)[-BEST[name]]
        arrays["scores"] = np.where(arrays["scores"] >= least, arrays["scores"], 0)
    size = tuple(side - (name in LAST_PIXEL) for side in case.image_size)
    frame = Frame(size, size, case.image.shape[2:])
    if name not in UNCUT:
        return postprocess(arrays, card, frame)
    found = suppress(decode(arrays, card, frame), card.suppress)
    return Instances(found.boxes, found.scores, found.labels, card.labels, size[::-1])


def test_every_tensor_equals_the_reference(run: Run) -> None:
    for tag, case in run.golden.cases.items():
        errors = {name: sample.error(run.raw[tag][name].numpy()) for name, sample in case.raw.items()}
        worst = max(errors, key=errors.__getitem__)
        assert errors[worst] < TOLERANCE, (tag, worst)


@pytest.mark.parametrize("tag", ["a", "b"])
def test_detections_equal_the_reference(run: Run, tag: str) -> None:
    if tag not in run.golden.cases:
        pytest.skip("the reference has run on the first image alone")
    case, found = run.golden.cases[tag], run.found[tag]
    # Guided anchoring alone keeps boxes that lie outside the image, cut to nothing; others follow in their places here.
    real = (case.boxes[:, 2:] + run.variant.suppress.inclusive > case.boxes[:, :2]).all(1)
    boxes, scores, labels = (x[real] for x in (case.boxes, case.scores, case.labels))
    assert len(found) == len(real) > 60
    partners = (
        (labels[:, None] == found.labels)
        & (np.abs(scores[:, None] - found.scores) < 1e-4)
        & (np.abs(boxes[:, None] - found.boxes).max(-1) < 0.01 + 1e-4 * np.abs(boxes).max(-1, keepdims=True))
    )
    assert partners[:, : len(boxes)].any(0).all()
    assert partners.any(1).all()


def test_parameters_are_those_of_the_reference(run: Run) -> None:
    others = ("running_mean", "running_var", "num_batches_tracked", "integral.project", "center_prior.")
    tied = isinstance(run.model.bbox_head, RetinaHead)
    state = {key: value for key, value in run.golden.state.items() if not (tied and TIED.search(key))}
    weights = [value for key, value in state.items() if not any(part in key for part in others)]
    assert sum(p.numel() for p in run.model.parameters()) == sum(value.size for value in weights)


def test_forward_gives_the_decoded_outputs(run: Run) -> None:
    with torch.inference_mode():
        spec = run.variant.input
        height, width = spec.size if spec.resize == "canvas" else (128, 256)
        outputs = run.model(torch.zeros(2, 3, height, width))
    cells = sum(math.ceil(height / stride) * math.ceil(width / stride) for stride in run.variant.decode.strides)
    points = cells * run.variant.decode.anchors
    assert outputs.pop("boxes").shape == (2, points, 4)
    assert outputs.pop("scores").shape == (2, points, len(run.variant.labels))
    assert all(value.shape == (2, points) for value in outputs.values())
