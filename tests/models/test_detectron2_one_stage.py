"""RetinaNet of Detectron2 and FCOS of AdelaiDet: configurations, weights, and boxes against their definitions."""

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from detectron2_files import CONFIG
from detectron2_files import weights as rcnn_weights
from found import found_in

from detforge.deploy.card import Provenance
from detforge.deploy.inputs.resize import ResizedFrame
from detforge.models.checkpoint import Checkpoint, fits
from detforge.models.config.detectron2 import describe_yaml
from detforge.models.config.text import ConfigError
from detforge.models.heads.fcos import FCOSHead
from detforge.models.heads.retina import RetinaHead

STRIDES = (8, 16, 32, 64, 128)
SIZES = [[size, size * 2 ** (1 / 3), size * 2 ** (2 / 3)] for size in (32, 64, 128, 256, 512)]
CANVAS = (128, 192)
CELLS = [(-(-CANVAS[0] // s), -(-CANVAS[1] // s)) for s in STRIDES]


def _one_stage(name: str, backbone: str) -> dict[str, Any]:
    config = yaml.safe_load(CONFIG)
    model = config["MODEL"]
    for key in ("RPN", "ROI_HEADS", "ROI_BOX_HEAD"):
        del model[key]
    model["META_ARCHITECTURE"] = name
    model["BACKBONE"]["NAME"] = backbone
    model["RESNETS"]["OUT_FEATURES"] = model["FPN"]["IN_FEATURES"] = ["res3", "res4", "res5"]
    return config


def retinanet() -> dict[str, Any]:
    config = _one_stage("RetinaNet", "build_retinanet_resnet_fpn_backbone")
    config["MODEL"]["ANCHOR_GENERATOR"]["SIZES"] = SIZES
    config["MODEL"]["RETINANET"] = {
        "BBOX_REG_LOSS_TYPE": "smooth_l1",
        "BBOX_REG_WEIGHTS": [1.0, 1.0, 1.0, 1.0],
        "FOCAL_LOSS_ALPHA": 0.25,
        "IN_FEATURES": ["p3", "p4", "p5", "p6", "p7"],
        "NMS_THRESH_TEST": 0.4,
        "NORM": "",
        "NUM_CLASSES": 3,
        "NUM_CONVS": 4,
        "SCORE_THRESH_TEST": 0.3,
        "TOPK_CANDIDATES_TEST": 60,
    }
    return config


def fcos() -> dict[str, Any]:
    config = _one_stage("OneStageDetector", "build_fcos_resnet_fpn_backbone")
    config["MODEL"]["PROPOSAL_GENERATOR"] = {"NAME": "FCOS"}
    config["MODEL"]["FCOS"] = {
        "FPN_STRIDES": [8, 16, 32, 64, 128],
        "INFERENCE_TH_TEST": 0.3,
        "INFERENCE_TH_TRAIN": 0.05,
        "IN_FEATURES": ["p3", "p4", "p5", "p6", "p7"],
        "NMS_TH": 0.4,
        "NORM": "GN",
        "NUM_BOX_CONVS": 4,
        "NUM_CLASSES": 3,
        "NUM_CLS_CONVS": 4,
        "NUM_SHARE_CONVS": 0,
        "POST_NMS_TOPK_TEST": 50,
        "PRE_NMS_TOPK_TEST": 60,
        "THRESH_WITH_CTR": False,
        "TOP_LEVELS": 2,
        "USE_DEFORMABLE": False,
        "USE_SCALE": True,
    }
    return config


def described(config: dict[str, Any]) -> Any:
    return describe_yaml(yaml.safe_dump(config), {}).variant


def _weights(config: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The names and shapes of the weights, as the frameworks' modules are nested."""
    state = {
        key: value
        for key, value in rcnn_weights().items()
        if not key.startswith(("roi_heads", "proposal", "backbone.fpn_lateral2", "backbone.fpn_output2"))
    }

    def conv(name: str, out: int, channels: int = 256, size: int = 3) -> None:
        state.update({f"{name}.weight": torch.zeros(out, channels, size, size), f"{name}.bias": torch.zeros(out)})

    is_retinanet = "RETINANET" in config["MODEL"]
    conv("backbone.top_block.p6", 256, 2048 if is_retinanet else 256)
    conv("backbone.top_block.p7", 256)
    head, tower, step = ("head", "subnet", 2) if is_retinanet else ("proposal_generator.fcos_head", "tower", 3)
    for branch in ("cls", "bbox"):
        for i in range(4):
            conv(f"{head}.{branch}_{tower}.{step * i}", 256)
            if not is_retinanet:
                state |= {f"{head}.{branch}_tower.{3 * i + 1}.{part}": torch.zeros(256) for part in ("weight", "bias")}
    if is_retinanet:
        conv(f"{head}.cls_score", 27)
        state |= {f"anchor_generator.cell_anchors.{i}": torch.zeros(9, 4) for i in range(5)}
    else:
        conv(f"{head}.cls_logits", 3)
        conv(f"{head}.ctrness", 1)
        state |= {f"{head}.scales.{i}.scale": torch.zeros(1) for i in range(5)}
    conv(f"{head}.bbox_pred", 36 if is_retinanet else 4)
    return state


@pytest.mark.parametrize("make", [retinanet, fcos])
def test_every_weight_has_its_place(make: Callable[[], dict[str, Any]]) -> None:
    config = make()
    variant, state = described(config), _weights(config)
    assert fits(variant, Checkpoint(state, "model_final.pth", None, None))
    state["head.extra.weight"] = torch.zeros(1)
    assert not fits(variant, Checkpoint(state, "model_final.pth", None, None))


def test_the_configurations() -> None:
    for config, source in ((retinanet(), "input"), (fcos(), "output")):
        variant = described(config)
        assert variant.input.place.filter == "antialias"
        assert (variant.form.clip, variant.suppress.clips, variant.suppress.max_det) == ("none", True, 50)
        with torch.device("meta"):
            neck = variant.build(3).neck
        assert (neck.extra, neck.relu, len(neck.fpn_convs)) == (source, True, 5)


def _found(config: dict[str, Any], outputs: dict[str, torch.Tensor]) -> Any:
    card = described(config).card(("a", "b", "c"), Provenance("", None, "fp32", {}))
    frame = ResizedFrame((120, 180), (120, 180), CANVAS, (0, 0), None, "opencv", None)
    return found_in({name: value[0].numpy() for name, value in outputs.items()}, card, frame)


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    if (sides <= 0).any():
        return 0.0
    shared = sides.prod()
    return shared / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared)


def _expected(rows: list[tuple[int, float, float, np.ndarray, int]]) -> np.ndarray:
    """The detections (x1, y1, x2, y2, score, class) of rows (level, rank, score, box, class).

    They are the 60 best of each level, suppressed without clipping, and the 50 best of them clipped.
    """
    kept = [row for level in range(5) for row in sorted((r for r in rows if r[0] == level), key=lambda r: -r[1])[:60]]
    best: list[Any] = []
    for row in sorted(kept, key=lambda r: -r[2]):
        if all(row[4] != other[4] or _overlap(row[3], other[3]) <= 0.4 for other in best):
            best.append(row)
    rows = [[*np.clip(box, 0, [180, 120, 180, 120]), score, label] for _, _, score, box, label in best[:50]]
    return np.array([row for row in rows if row[2] > row[0] and row[3] > row[1]])


def _check(found: Any, rows: list[Any]) -> None:
    expected = _expected(rows)
    assert 10 < len(expected) == len(found)
    np.testing.assert_allclose(found.boxes, expected[:, :4], atol=2e-3)
    np.testing.assert_allclose(found.scores, expected[:, 4], atol=1e-5)
    assert found.labels.tolist() == expected[:, 5].tolist()
    assert (found.boxes == 0).any() and (found.boxes[:, 2] == 180).any()


def test_retinanet_finds_what_detectron2_defines() -> None:
    generator = np.random.default_rng(5)
    classes = [generator.normal(-2, 2, (1, 27, h, w)).astype(np.float32) for h, w in CELLS]
    deltas = [generator.normal(0, 0.5, (1, 36, h, w)).astype(np.float32) for h, w in CELLS]
    config = retinanet()
    with torch.device("meta"):
        head = described(config).build(3).bbox_head
    assert isinstance(head, RetinaHead)
    logits = {"classes": [*map(torch.from_numpy, classes)], "deltas": [*map(torch.from_numpy, deltas)]}
    rows = []
    for level, (stride, (h, w)) in enumerate(zip(STRIDES, CELLS, strict=True)):
        for y in range(h):
            for x in range(w):
                for i, (size, ratio) in enumerate((s, r) for s in SIZES[level] for r in (0.5, 1.0, 2.0)):
                    width = math.sqrt(size * size / ratio)
                    height = ratio * width
                    dx, dy, dw, dh = deltas[level][0, 4 * i : 4 * i + 4, y, x].astype(np.float64)
                    cx, cy = x * stride + dx * width, y * stride + dy * height
                    rx, ry = width * math.exp(dw) / 2, height * math.exp(dh) / 2
                    box = np.array([cx - rx, cy - ry, cx + rx, cy + ry])
                    for c in range(3):
                        score = 1 / (1 + math.exp(-float(classes[level][0, 3 * i + c, y, x])))
                        if score > 0.3:
                            rows.append((level, score, score, box, c))
    _check(_found(config, head.decode(logits)), rows)


@pytest.mark.parametrize("together", [False, True])
def test_fcos_finds_what_adelaidet_defines(together: bool) -> None:
    generator = np.random.default_rng(6)
    shapes = {"classes": 3, "sides": 4, "quality": 1}
    values = {
        name: [generator.normal(0, 2, (1, count, h, w)).astype(np.float32) for h, w in CELLS]
        for name, count in shapes.items()
    }
    config = fcos()
    config["MODEL"]["FCOS"]["THRESH_WITH_CTR"] = together
    with torch.device("meta"):
        head = described(config).build(3).bbox_head
    assert isinstance(head, FCOSHead) and head.beside_boxes
    rows = []
    for level, (stride, (h, w)) in enumerate(zip(STRIDES, CELLS, strict=True)):
        for y in range(h):
            for x in range(w):
                px, py = x * stride + stride // 2, y * stride + stride // 2
                left, top, right, bottom = np.maximum(values["sides"][level][0, :, y, x], 0).astype(np.float64) * stride
                box = np.array([px - left, py - top, px + right, py + bottom])
                centre = 1 / (1 + math.exp(-float(values["quality"][level][0, 0, y, x])))
                for c in range(3):
                    score = 1 / (1 + math.exp(-float(values["classes"][level][0, c, y, x])))
                    if (score * centre if together else score) > 0.3:
                        rows.append((level, score * centre, math.sqrt(score * centre), box, c))
    logits = {name: [*map(torch.from_numpy, levels)] for name, levels in values.items()}
    _check(_found(config, head.decode(logits)), rows)


def _with(config: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    config = copy.deepcopy(config)
    *above, last = path.split(".")
    below = config
    for key in above:
        below = below[key]
    below[last] = value
    return config


@pytest.mark.parametrize(
    ("config", "path", "value", "message"),
    [
        (retinanet(), "MODEL.RETINANET.NORM", "BN", r"MODEL\.RETINANET\.NORM is 'BN'; supported: ''"),
        (retinanet(), "MODEL.RETINANET.MYSTERY", 1, r"MODEL\.RETINANET\.MYSTERY is 1; supported: no such key"),
        (retinanet(), "MODEL.RETINANET", [1], r"MODEL\.RETINANET\.NORM|MODEL\.RETINANET\.IN_FEATURES is missing"),
        (retinanet(), "MODEL.RETINANET.NUM_CONVS", 10**9, r"NUM_CONVS is 1000000000; supported: a whole number"),
        (retinanet(), "MODEL.RETINANET.NUM_CLASSES", True, r"NUM_CLASSES is True; supported: a whole number"),
        (
            retinanet(),
            "MODEL.ANCHOR_GENERATOR.SIZES",
            [[32, 0]] * 5,
            r"SIZES is .*; supported: lists of numbers above 0",
        ),
        (retinanet(), "MODEL.ANCHOR_GENERATOR.SIZES", [[32], [64, 1]], r"SIZES is .*lists of the same length"),
        (retinanet(), "MODEL.ANCHOR_GENERATOR.SIZES", [[32, 64]] * 5, r"SIZES is .*sizes that grow with the strides"),
        (retinanet(), "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS", [[1.0], [2.0]], r"ASPECT_RATIOS is .*one list of ratios"),
        (retinanet(), "MODEL.RETINANET.BBOX_REG_WEIGHTS", [1, 1, 1, 0], r"BBOX_REG_WEIGHTS is .*numbers above 0"),
        (retinanet(), "MODEL.RETINANET.SCORE_THRESH_TEST", "low", r"model\.test_cfg\.score_thr is 'low'"),
        (fcos(), "MODEL.FCOS.NORM", "SyncBN", r"MODEL\.FCOS\.NORM is 'SyncBN'; supported: 'GN'"),
        (fcos(), "MODEL.FCOS.USE_DEFORMABLE", True, r"MODEL\.FCOS\.USE_DEFORMABLE is True; supported: False"),
        (fcos(), "MODEL.FCOS.BOX_QUALITY", "iou", r"MODEL\.FCOS\.BOX_QUALITY is 'iou'; supported: 'ctrness'"),
        (fcos(), "MODEL.FCOS.NUM_BOX_CONVS", 3, r"MODEL\.FCOS\.NUM_BOX_CONVS is 3; supported: 4"),
        (fcos(), "MODEL.FCOS.INFERENCE_TH_TEST", 2, r"INFERENCE_TH_TEST is 2; supported: a number of 0 to 1"),
        (fcos(), "MODEL.PROPOSAL_GENERATOR.NAME", "CondInst", r"PROPOSAL_GENERATOR\.NAME is 'CondInst'"),
    ],
)
def test_what_is_not_supported_is_named(config: dict[str, Any], path: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        described(_with(config, path, value))
