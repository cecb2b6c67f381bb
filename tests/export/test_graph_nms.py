"""Suppression inside the file against a slow oracle, and against the runtime's own."""

from dataclasses import replace
from functools import partial

import numpy as np
import onnx
import pytest
import torch
from found import found_in

from detforge.deploy.backends.ort import OrtBackend
from detforge.deploy.card import Card, Provenance
from detforge.deploy.contract.fusion import Fusion
from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.forms import Dense, Graph, Proposed
from detforge.deploy.inputs.resize import ResizedFrame
from detforge.deploy.system.errors import UsageError
from detforge.export import export
from detforge.export.convert import to_onnx
from detforge.export.graph_nms import GraphNms, check_rule
from detforge.models.backbones.resnet import ResNet
from detforge.models.skeletons import unlinked
from detforge.models.variant import RGB
from detforge.models.zoo import VARIANTS
from detforge.models.zoo.gfl import build
from detforge.plugins.nms.op import nms

CONF, IOU, MAX_DET = 0.05, 0.6, 40
SUPPRESS = Suppress(conf=CONF, iou=IOU, max_det=MAX_DET)
LABELS = ("a", "b", "c")
FORM = Dense((8, 16, 32), top_k=30)  # small enough that levels are both cut and filled up


def overlap(a, b):
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return w * h / (areas - w * h)


def oracle(boxes, ranked, scores, canvas):
    """Rows (x1, y1, x2, y2, score, label) of one image, by the definition, in float64."""
    rows, start = [], 0
    for stride in FORM.strides:
        end = start + -(-canvas[0] // stride) * -(-canvas[1] // stride)
        level = [(ranked[i, c], i, c) for i in range(start, end) for c in range(ranked.shape[1])]
        for value, i, c in sorted(level, key=lambda item: -item[0])[: FORM.top_k]:
            x1, x2 = np.clip(boxes[i, [0, 2]], 0, canvas[1])
            y1, y2 = np.clip(boxes[i, [1, 3]], 0, canvas[0])
            if value > CONF and x2 > x1 and y2 > y1:
                rows.append((x1, y1, x2, y2, scores[i, c], c))
        start = end
    kept = []
    for row in sorted(rows, key=lambda row: -row[4]):
        if all(row[5] != other[5] or overlap(row, other) <= IOU for other in kept):
            kept.append(row)
    return np.array(kept[:MAX_DET], np.float64).reshape(-1, 6)


def network(quality_channels):
    torch.manual_seed(0)
    model = build(
        3,
        backbone=partial(ResNet, 10, width=8),
        channels=16,
        stacked=1,
        strides=FORM.strides,
        quality_channels=quality_channels,
    )
    with torch.no_grad():
        model.bbox_head.gfl_cls.weight.mul_(40)  # scores of every size
        model.bbox_head.gfl_reg.weight.mul_(5)
        model.bbox_head.gfl_reg.bias.copy_(-0.7 * torch.arange(17.0).repeat(4))  # boxes of one or two strides
    return model.eval()


def check(model, fusion, canvases, path):
    backend = OrtBackend(str(path))
    for seed, (n, *canvas) in enumerate(canvases):
        canvas = tuple(canvas)
        image = torch.randn(n, 3, *canvas, generator=torch.Generator().manual_seed(seed))
        got = backend.run({"image": image.numpy()})
        assert got["boxes"].shape == (n, MAX_DET, 4)
        assert got["labels"].dtype == got["num"].dtype == np.int64
        with torch.inference_mode():
            raw = {name: value.numpy() for name, value in model(image).items()}
        for i in range(n):
            row = {name: value[i] for name, value in raw.items()}
            scores = row["scores"].astype(np.float64)
            fused = scores * row["quality"][:, None] if "quality" in row else scores
            expected = oracle(row["boxes"].astype(np.float64), fused, fused, canvas)
            num = int(got["num"][i])
            assert num == len(expected) > 2
            assert np.abs(got["boxes"][i, :num] - expected[:, :4]).max() < 1e-3
            assert np.abs(got["scores"][i, :num] - expected[:, 4]).max() < 1e-5
            assert (got["labels"][i, :num] == expected[:, 5]).all()
            assert not any(got[name][i, num:].any() for name in ("boxes", "scores", "labels"))
            ours = found_in(row, runtime_card(fusion), ResizedFrame(canvas, canvas, canvas))
            assert np.abs(ours.boxes - got["boxes"][i, :num]).max() < 1e-3
            assert (ours.labels == got["labels"][i, :num]).all()


def runtime_card(fusion) -> Card:
    card = VARIANTS["gfl_test"].card(LABELS, Provenance("", None, "fp32", {}))
    return replace(card, form=FORM, fusion=fusion, suppress=SUPPRESS)


@pytest.mark.slow
@pytest.mark.long
def test_version_2_at_any_size_and_batch(tmp_path):
    fusion = Fusion(1.0, 1.0, threshold_by="fused", rank_by="fused")
    model = network(16)
    proto, ops = to_onnx(GraphNms(model, FORM, fusion, SUPPRESS, LABELS), (RGB,))
    assert ops == ("dfl_boxes", "nms")
    onnx.save(proto, tmp_path / "model.onnx")
    check(model, fusion, [(1, 64, 96), (3, 96, 64), (2, 32, 32), (1, 160, 128)], tmp_path / "model.onnx")


@pytest.mark.slow
def test_version_1_on_a_fixed_canvas(tmp_path):
    model = network(None)
    proto, _ = to_onnx(GraphNms(model, FORM, Fusion(), SUPPRESS, LABELS), (RGB,), canvas=(96, 64), batch=2)
    onnx.save(proto, tmp_path / "model.onnx")
    check(model, Fusion(), [(2, 96, 64)], tmp_path / "model.onnx")


def test_eager_wrapper_equals_the_oracle():
    model = network(None)
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        raw = {name: value[0].double().numpy() for name, value in model(image).items()}
        got = GraphNms(model, FORM, Fusion(), SUPPRESS, LABELS)(image)
    expected = oracle(raw["boxes"], raw["scores"], raw["scores"], (64, 64))
    assert int(got["num"][0]) == len(expected)
    assert np.abs(got["scores"][0, : len(expected)].numpy() - expected[:, 4]).max() < 1e-6


def test_more_rows_than_candidates():
    model = network(None)
    with torch.inference_mode():
        got = GraphNms(model, FORM, Fusion(), replace(SUPPRESS, max_det=200), LABELS)(torch.randn(1, 3, 32, 32))
    assert got["boxes"].shape == (1, 200, 4)


class Given(torch.nn.Module):
    """A network whose outputs are given."""

    def __init__(self, **outputs):
        super().__init__()
        self.outputs = outputs

    def forward(self, image, image_size=None):
        return self.outputs


@pytest.mark.parametrize("labels", [("a", "b", "c"), ("", "b", "c")], ids=["named", "unnamed"])
@pytest.mark.parametrize("boxes_each", [3, 1])
def test_boxes_of_proposals_equal_the_runtime(boxes_each, labels):
    random = np.random.default_rng(boxes_each)
    corner = random.uniform(-9, 90, (2, 60, boxes_each, 2))
    outputs = {
        "boxes": np.concatenate((corner, corner + random.uniform(-1, 30, corner.shape)), -1).astype(np.float32),
        "scores": random.uniform(0, 1, (2, 60, 3)).astype(np.float32) ** 4,
    }
    card = replace(runtime_card(Fusion()), form=Proposed(), labels=labels)
    given = Given(**{name: torch.from_numpy(value) for name, value in outputs.items()})
    sizes = [(64, 80), (50, 96)]
    got = GraphNms(given, card.form, card.fusion, card.suppress, labels)(torch.zeros(2, 3, 64, 96), torch.tensor(sizes))
    for i, size in enumerate(sizes):
        row = {name: value[i] for name, value in outputs.items()}
        expected = found_in(row, card, ResizedFrame(size, size, (64, 96)))
        num = int(got["num"][i])
        assert num == len(expected) > 20
        np.testing.assert_allclose(got["scores"][i, :num].numpy(), expected.scores, rtol=1e-6)
        np.testing.assert_allclose(got["boxes"][i, :num].numpy(), expected.boxes, atol=1e-4)
        assert got["labels"][i, :num].tolist() == expected.labels.tolist()


@pytest.mark.parametrize(
    "rule",
    [
        ("image", SUPPRESS),
        ("last_pixel", replace(SUPPRESS, inclusive=True)),
        ("none", SUPPRESS),
        ("canvas", replace(SUPPRESS, class_agnostic=True)),
    ],
    ids=["usual", "inclusive", "uncut", "class-agnostic"],
)
@pytest.mark.parametrize("per_class", [False, True])
@pytest.mark.parametrize("unit", ["pairs", "points", "best"])
@pytest.mark.parametrize("fusion", [(t, r) for t in ("score", "fused") for r in ("score", "fused")])
def test_every_rule_of_selection_equals_the_runtime(fusion, unit, per_class, rule):
    """The runtime's rules have a slow oracle of their own."""
    random = np.random.default_rng(len(unit))
    clip, suppress = rule
    form = Dense((8, 16, 32), anchors=2, top_k=30, unit=unit, clip=clip)
    card = replace(
        runtime_card(Fusion(0.5, 0.5, *fusion)), form=form, suppress=suppress, skeleton=unlinked(("a", "b", "c"))
    )
    points = 2 * (8 * 12 + 4 * 6 + 2 * 3)
    corner = random.uniform(-9, 90, (2, points, 2))
    outputs = {
        "boxes": np.concatenate((corner, corner + random.uniform(-1, 30, (2, points, 2))), -1),
        "scores": random.uniform(0, 1, (2, points, 3)) ** 24,
        "quality": random.uniform(0, 1, (2, points, 3) if per_class else (2, points)) ** 4,
        "keypoints": random.uniform(-9, 90, (2, points, 6)),
        "keypoint_scores": random.uniform(0, 1, (2, points, 3)),
    }
    if unit == "points":  # with more pairs than `top_k` the file drops some that the runtime keeps
        outputs["scores"][outputs["scores"] < outputs["scores"].max(-1, keepdims=True)] = 0
    outputs = {name: value.astype(np.float32) for name, value in outputs.items()}
    given = Given(**{name: torch.from_numpy(value) for name, value in outputs.items()})
    got = GraphNms(given, form, card.fusion, card.suppress, card.labels)(torch.zeros(2, 3, 64, 96))
    for i in range(2):
        row = {name: value[i] for name, value in outputs.items()}
        expected = found_in(row, card, ResizedFrame((64, 96), (64, 96), (64, 96)))
        num = int(got["num"][i])
        assert num == len(expected) > 5
        np.testing.assert_allclose(got["scores"][i, :num].numpy(), expected.scores, rtol=1e-5)
        np.testing.assert_allclose(got["boxes"][i, :num].numpy(), expected.boxes, atol=1e-4)
        assert got["labels"][i, :num].tolist() == expected.labels.tolist()
        beside = {name: value[i].numpy() for name, value in got.items()}
        read = found_in(beside, replace(card, form=Graph(clip)), ResizedFrame((64, 96), (64, 96), (64, 96)))
        np.testing.assert_array_equal(read.keypoints, expected.keypoints[: len(read)])
        assert len(read) > 5


class Bare(torch.nn.Module):
    """The operator alone: channel 0 holds corners and sizes, channel 1 scores, channel 2 labels."""

    def forward(self, image):
        boxes = torch.cat((image[:, 0, :, :2], image[:, 0, :, :2] + image[:, 0, :, 2:]), -1)
        return {"best": nms(boxes, image[:, 1, :, 0], image[:, 2, :, 0], boxes.new_full((1,), 0.5), 3, 4)}


@pytest.mark.parametrize("count", [1, 2, 37])
def test_operator_alone(count, tmp_path):
    """Reference and exported nodes agree: ties, empty boxes, scores of 0, more of a label than its limit."""
    random = np.random.default_rng(count)
    image = np.zeros((2, 3, count, 4), np.float32)
    image[:, 0] = random.integers(0, 8, (2, count, 4))
    image[:, 1, :, 0] = random.integers(0, 6, (2, count)) / 5
    image[:, 2, :, 0] = random.integers(0, 3, (2, count))
    model = Bare()
    proto, _ = to_onnx(Fixed(model), (RGB,), canvas=(count, 4), batch=2)
    onnx.save(proto, tmp_path / "op.onnx")
    got = OrtBackend(str(tmp_path / "op.onnx")).run({"image": image})["best"]
    expected = model(torch.from_numpy(image))["best"].numpy()
    assert np.array_equal(got, expected)


class Fixed(torch.nn.Module):
    """`Bare` for images of any size, since `to_onnx` runs a network once to learn its outputs' names."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, image):
        return self.model(image[..., :4])


def test_rules_that_a_graph_cannot_run_are_refused():
    with pytest.raises(
        UsageError, match=r"conf 0\.01: NMS in a graph drops scores up to 0\.05; give conf 0\.05 or more"
    ):
        export("gfl_test", checkpoint="random", nms="graph", conf=0.01)
    for kind in ("linear", "gaussian", "guided", "none"):
        with pytest.raises(UsageError, match=f"m suppresses with '{kind}', a graph only with 'hard'"):
            check_rule("m", Suppress(kind))
    with pytest.raises(UsageError, match="m suppresses with 'voting'"):
        check_rule("m", Suppress(voting=True))
    check_rule("m", SUPPRESS)
