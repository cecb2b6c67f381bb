"""Soft-NMS against mmcv and mmdet, and against the naive float64 oracle."""

import numpy as np
import pytest
from found import detections
from golden.reader import load_ops
from oracles import soft_nms
from test_suppress import clusters

from detforge.deploy import _native
from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.suppress import suppress

CASES = {case["name"]: case for case in load_ops("soft_nms")}


@pytest.mark.parametrize("name", CASES)
def test_equals_mmcv(name: str) -> None:
    case = CASES[name]
    given, options = case["in"], case["args"].get("nms_cfg", case["args"])
    labels = given.get("idxs", np.zeros(len(given["boxes"]), np.int64))
    spec = Suppress(
        options.get("method", "linear"),
        conf=options["min_score"],
        iou=options["iou_threshold"],
        max_det=1000,
        inclusive=bool(options.get("offset", 0)),
    )
    kept = suppress(detections(given["boxes"], given["scores"], labels), spec)
    np.testing.assert_array_equal(kept.boxes, given["boxes"][case["out"]["keep"]])
    # Of several classes mmcv moves the boxes apart, which rounds their overlaps.
    np.testing.assert_allclose(kept.scores, case["out"]["dets"][:, 4], atol=1e-4 if "idxs" in given else 1e-6)


def test_equals_mmdet_for_several_classes() -> None:
    (case,) = load_ops("multiclass_soft_nms")
    boxes, scores = case["in"]["boxes"], case["in"]["scores"][:, :-1]  # the last is the background's
    classes = scores.shape[1]
    rows, labels = np.nonzero(scores > case["args"]["score_thr"])
    options = case["args"]["nms"]
    spec = Suppress("linear", options["min_score"], options["iou_threshold"], case["args"]["max_num"])
    candidates = detections(boxes.reshape(-1, classes, 4)[rows, labels], scores[rows, labels], labels)
    kept = suppress(candidates, spec)
    np.testing.assert_array_equal(kept.boxes, case["out"]["dets"][:, :4])
    np.testing.assert_allclose(kept.scores, case["out"]["dets"][:, 4], atol=1e-5)
    np.testing.assert_array_equal(kept.labels, case["out"]["labels"])


@pytest.mark.parametrize("sigma", [None, 0.1, 0.5, 3.0])
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7])
@pytest.mark.parametrize("n", [0, 1, 2, 50, 300])
def test_equals_the_oracle(n: int, threshold: float, sigma: float | None) -> None:
    found = clusters(n, seed=n)
    scores = np.random.default_rng(n).permutation(np.linspace(0.05, 1, n)).astype(np.float32)
    kept, lowered = _native.soft_nms(found.boxes, scores, found.labels, threshold, sigma, 0.1, 1000)
    expected = soft_nms(found.boxes, scores, found.labels, threshold, sigma, 0.1)
    assert kept.tolist() == [i for i, _ in expected]
    np.testing.assert_allclose(lowered, [score for _, score in expected], rtol=1e-6)
    limited, _ = _native.soft_nms(found.boxes, scores, found.labels, threshold, sigma, 0.1, 9)
    assert limited.tolist() == kept[:9].tolist()


@pytest.mark.parametrize("kind", ["linear", "gaussian"])
def test_equal_scores_keep_their_order(kind: str) -> None:
    corners = 100.0 * np.array([3, 1, 0, 2], np.float32)[:, None] * np.array([1, 0], np.float32)
    apart = np.concatenate((corners, corners + 50), 1)
    found = detections(apart, np.array([0.5, 0.7, 0.5, 0.5], np.float32), np.zeros(4, np.int64))
    kept = suppress(found, Suppress(kind))
    assert kept.boxes[:, 0].tolist() == [100, 300, 0, 200]


def test_a_copy_is_lowered_and_another_class_is_not() -> None:
    box = np.array([[0, 0, 10, 10]] * 3, np.float32)
    found = detections(box, np.array([0.9, 0.8, 0.7], np.float32), np.array([0, 0, 1]))
    assert suppress(found, Suppress("linear", conf=0.0)).scores.tolist() == pytest.approx([0.9, 0.7])
    lowered = 0.8 * np.exp(-1 / 0.5)
    assert suppress(found, Suppress("gaussian", conf=0.0)).scores.tolist() == pytest.approx([0.9, 0.7, lowered])
    assert len(suppress(found, Suppress("gaussian", conf=0.5)).scores) == 2
    assert len(suppress(found, Suppress("gaussian", conf=0.0, max_det=1)).scores) == 1


def test_undefined_values_do_no_harm() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, np.nan, 10], [5, 5, 5, 5], [5, 5, 5, 5]], np.float32)
    scores = np.array([0.5, 0.9, np.nan, 0.6], np.float32)
    kept, lowered = _native.soft_nms(boxes, scores, np.zeros(4, np.int64), 0.5, 0.5, 0.0, 10)
    assert set(kept.tolist()) <= {0, 1, 3}
    assert np.isfinite(lowered).all()
