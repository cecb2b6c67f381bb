"""The dense networks through the whole door: weights in a file, exported, verified, run.

In fp16 on a fixed canvas those with a part that no other has, and in fp32 with every axis free one of two stages.
"""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from lively import cases, lively_weights, small_canvas, with_new_parts

from detforge.deploy import Detector
from detforge.deploy.backends.ort import OrtBackend
from detforge.export import api, export
from detforge.export.photographs import make_up
from detforge.models.zoo import VARIANTS

pytestmark = pytest.mark.slow

KINDS = ("dense", "proposed", "graph")
NAMES = [name for name, variant in VARIANTS.items() if name.endswith("_test") and variant.form.kind in KINDS]
# Random weights make flat maps of a grid's points: rounding moves their maxima far away.
PRECISION = {"grid_rcnn_test": "fp32"}
FREE = ("faster_rcnn_test", "fp32")
EVERY = [*((name, PRECISION.get(name, "fp16")) for name in with_new_parts(NAMES)), FREE]
# An export takes long. These stand for the others: two stages, anchors, points, our operators, blocks of other kinds.
SHORT = "faster_rcnn retinanet ssd yolov3 fcos fcos_dcn gfl rtmdet lffd"
CASES = cases(EVERY, [(f"{name}_test", "fp16") for name in SHORT.split()])
# px, score, and the share that must be found again; half precision rounds otherwise in a batch
NEAR = {"fp32": (1e-2, 5e-5, 1), "fp16": (1, 0.02, 0.98)}
# SpineNet is sixty layers deep: half precision rounds as often, and random boxes suppress others than before.
LEAST = {"spinenet_test": 0.95, "cascade_rcnn_test": 0.97, "faster_rcnn_c4_test": 0.97}
# Soft-NMS carries the difference of a box on to the scores of its neighbours. Where one of two nearly equal boxes that
# stay, of one proposal or with other visible parts, gives way to a third, the other one is taken for its partner.
SHIFT = {"d2det_test": 0.05, "crowddet_test": 0.2, "paired_boxes_test": 0.05}
CONF, LIMIT = 0.05, 3000
# Fused with the quality of its boxes, most scores are below 0.05.
LOW = {"sabl_faster_test": 0.01}
PICTURES = [make_up(size, seed) for seed, size in enumerate([(120, 160), (160, 120), (120, 160), (90, 170)])]


@dataclass(frozen=True)
class Exported:
    """What an export reported, and the file opened on small canvases with a low threshold."""

    report: api.Exported
    detector: Detector


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def exported(request, tmp_path_factory) -> Exported:
    name, precision = request.param
    folder = tmp_path_factory.mktemp("networks")
    torch.save(lively_weights(name), folder / "weights.pth")
    report = export(
        name,
        checkpoint=str(folder / "weights.pth"),
        precision=precision,
        imgsz=None if request.param == FREE else small_canvas(VARIANTS[name].input.place),
        output=folder / "model.onnx",
    )
    place = report.card.input.place
    card = replace(report.card, suppress=replace(report.card.suppress, conf=LOW.get(name, CONF), max_det=LIMIT))
    card = card.with_place(place if place.canvas else replace(place, size=(128, 224)))
    return Exported(report, Detector(OrtBackend(str(report.path)), card))


def test_verification_passes_on_detections(exported: Exported) -> None:
    parity = exported.report.card.provenance.parity
    assert exported.report.comparison.problem is None
    assert parity.detections > 20
    assert parity.match_rate > LEAST.get(exported.report.card.model, 0.98)
    limit = SHIFT.get(exported.report.card.model, NEAR[exported.report.card.provenance.precision][1])
    assert parity.score_shift < limit


def test_mixed_sizes_at_once_equal_one_by_one(exported: Exported) -> None:
    px, score, least = NEAR[exported.report.card.provenance.precision]
    least = LEAST.get(exported.report.card.model, least)
    together = exported.detector(PICTURES)
    for picture, found in zip(PICTURES, together, strict=True):
        alone = exported.detector(picture)
        partners = (
            (found.labels[:, None] == alone.labels)
            & (np.abs(found.scores[:, None] - alone.scores) < score)
            & (np.abs(found.boxes[:, None] - alone.boxes).max(-1) < px)
        )
        # The last of a full list, and those next to the threshold, may give way to another.
        floor = score + max(
            [exported.detector.card.suppress.conf, *(x.scores[-1] for x in (found, alone) if len(x) == LIMIT)]
        )
        for side, others in ((found, partners.any(1)), (alone, partners.any(0))):
            certain = side.scores > floor
            assert certain.sum() > 3
            assert others[certain].mean() >= least
