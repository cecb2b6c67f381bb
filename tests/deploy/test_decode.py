"""Decoding and everything after it, on hand-made outputs."""

from dataclasses import replace

import numpy as np
import pytest
from found import candidates_in, found_in
from oracles import iou, nms
from test_card import CARD, SKELETON

from detforge.deploy import _native
from detforge.deploy.backends.recorded import RecordedBackend
from detforge.deploy.contract.fusion import Fusion
from detforge.deploy.contract.port import Arrays
from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.forms import Dense, Graph
from detforge.deploy.inputs.resize import Pad, Resize, ResizedFrame
from detforge.deploy.pipelines.detector import Detector
from detforge.deploy.system.errors import IncompatibleError

STRIDES = (8, 16)
CANVAS = (32, 64)
POINTS = 4 * 8 + 2 * 4
CARD = replace(CARD, form=Dense(STRIDES, top_k=20), suppress=Suppress(conf=0.05))
UNCUT = replace(CARD, form=Dense(STRIDES, top_k=20, clip="none"))


def outputs(seed: int, quality: tuple[int, ...] = ()) -> Arrays:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(-10, 60, (POINTS, 2))
    values = {
        "boxes": np.concatenate((corner, corner + rng.uniform(1, 40, (POINTS, 2))), 1).astype(np.float32),
        "scores": rng.uniform(0, 1, (POINTS, 2)).astype(np.float32) ** 2,
    }
    if quality:
        values["quality"] = rng.uniform(0, 1, quality).astype(np.float32)
    return values


def naive(
    values: Arrays, fusion: Fusion, conf: float, top_k: int, unit: str = "pairs", together: bool = False
) -> list[tuple[float, ...]]:
    """Every (score, label, *box) that stays, level by level or of all together, one pair at a time and in float64."""
    kept = []
    for start, end in ((0, POINTS),) if together else ((0, 32), (32, POINTS)):
        pairs = []
        for p in range(start, end):
            for c in range(2):
                score = fused = float(values["scores"][p, c])
                if "quality" in values:
                    quality = float(values["quality"][p] if values["quality"].ndim == 1 else values["quality"][p, c])
                    fused = score**fusion.score_exponent * quality**fusion.quality_exponent
                by = {"score": score, "fused": fused}
                box = values["boxes"][p].tolist()
                pairs.append((by[fusion.rank_by], by[fusion.threshold_by], p, (fused, c, *box)))
        if unit == "best":  # the first of equal ones
            pairs = [pair for pair in pairs if pair[3][1] == values["scores"][pair[2]].argmax()]
        if unit == "points":  # every class of the points whose best class ranks high
            points = sorted(range(start, end), key=lambda p: -max(pair[0] for pair in pairs if pair[2] == p))[:top_k]
            pairs = [pair for pair in pairs if pair[2] in points and pair[1] > conf]
        else:
            pairs = sorted((pair for pair in pairs if pair[1] > conf), key=lambda pair: -pair[0])
            limited = [[pair for pair in pairs if pair[3][1] == c][:top_k] for c in range(2)]
            pairs = [pair for one in limited for pair in one] if unit == "classes" else pairs[:top_k]
        kept += [pair[-1] for pair in pairs]
    return kept


@pytest.mark.parametrize("quality", [(POINTS,), (POINTS, 2)], ids=["of a point", "of a pair"])
@pytest.mark.parametrize("unit", ["pairs", "points", "best"])
@pytest.mark.parametrize("rank_by", ["score", "fused"])
@pytest.mark.parametrize("threshold_by", ["score", "fused"])
@pytest.mark.parametrize("exponents", [(1.0, 1.0), (0.5, 0.5), (0.4, 0.6), (0.0, 1.0)])
def test_every_rule_of_selection(
    exponents: tuple[float, float], threshold_by: str, rank_by: str, unit: str, quality: tuple[int, ...]
) -> None:
    fusion = Fusion(*exponents, threshold_by, rank_by)
    values = outputs(3, quality)
    values["scores"][9:12] = 0.2
    defined = {name: value.copy() for name, value in values.items()}
    if exponents[0] > 0:
        values["scores"][4], defined["scores"][4] = np.nan, 0
    for conf, top_k in ((0.05, 20), (0.3, 7), (0.0, 1000)):
        form = Dense(STRIDES, top_k=top_k, unit=unit, clip="none")
        card = replace(CARD, fusion=fusion, form=form, suppress=Suppress(conf=conf))
        found = candidates_in(values, card, ResizedFrame(CANVAS, CANVAS, CANVAS))
        rows = np.column_stack((found.scores, found.labels, found.boxes))
        expected = np.array(naive(defined, fusion, conf, top_k, unit)).reshape(-1, 6)
        np.testing.assert_allclose(rows[np.lexsort(rows.T)], expected[np.lexsort(expected.T)], rtol=1e-5)


@pytest.mark.parametrize("unit", ["pairs", "points", "best", "classes"])
def test_the_best_of_all_levels(unit: str) -> None:
    values = outputs(5)
    form = Dense(STRIDES, top_k=9, unit=unit, clip="none", levels_together=True)
    found = candidates_in(values, replace(CARD, form=form), ResizedFrame(CANVAS, CANVAS, CANVAS))
    expected = sorted(row[0] for row in naive(values, Fusion(), 0.05, 9, unit, together=True))
    assert sorted(found.scores.tolist()) == pytest.approx(expected)
    assert len(expected) < len(naive(values, Fusion(), 0.05, 9, unit))


def test_dense_selection_without_quality() -> None:
    values = outputs(4)
    found = candidates_in(values, UNCUT, ResizedFrame(CANVAS, CANVAS, CANVAS))
    assert sorted(found.scores.tolist()) == pytest.approx(sorted(p[0] for p in naive(values, Fusion(), 0.05, 20)))


@pytest.mark.parametrize("shape", [(POINTS,), (POINTS, 2)], ids=["of a point", "of a pair"])
def test_every_candidate_has_its_quality_and_an_undefined_one_is_none(shape: tuple[int, ...]) -> None:
    values = outputs(9, shape)
    values["quality"][5] = np.nan
    found = candidates_in(values, replace(UNCUT, fusion=Fusion(1.0, 1.0)), ResizedFrame(CANVAS, CANVAS, CANVAS))
    points = [int(np.flatnonzero((values["boxes"] == box).all(1))[0]) for box in found.boxes]
    of_pairs = np.broadcast_to(values["quality"].reshape(POINTS, -1), (POINTS, 2))
    assert 5 not in points and len(points) > 20
    np.testing.assert_array_equal(found.quality, of_pairs[points, found.labels])
    np.testing.assert_allclose(found.scores, values["scores"][points, found.labels] * found.quality, rtol=1e-6)


@pytest.mark.parametrize("scored", [False, True])
def test_keypoints_stay_with_their_boxes(scored: bool) -> None:
    """In px of the image of 100x60, whose half lies at (7, 1) of the canvas."""
    values, random = outputs(10), np.random.default_rng(10)
    values["keypoints"] = random.uniform(-10, 60, (POINTS, 6)).astype(np.float32)
    own = random.uniform(0, 1, (POINTS, 3)).astype(np.float32)
    frame = ResizedFrame((60, 100), (30, 50), CANVAS, offset=(1, 7))
    card = replace(UNCUT, skeleton=SKELETON)
    found = found_in(values | ({"keypoint_scores": own} if scored else {}), card, frame)
    assert len(found) > 20
    for box, score, pose in zip(found.boxes, found.scores, found.keypoints, strict=True):
        [point] = np.flatnonzero(np.abs((values["boxes"] - [7, 1, 7, 1]) * 2 - box).max(1) < 1e-3)
        expected = (values["keypoints"][point].reshape(3, 2) - [7, 1]) * 2
        np.testing.assert_allclose(pose[:, :2], expected, rtol=1e-5)
        assert pose[:, 2].tolist() == (own[point].tolist() if scored else [score] * 3)
    assert candidates_in(values, UNCUT, frame).keypoints is None


def test_keypoints_that_contradict_the_card_are_refused() -> None:
    values = outputs(10) | {"keypoints": np.zeros((POINTS, 10), np.float32)}
    with pytest.raises(IncompatibleError, match="10 coordinates of keypoints, its Card's skeleton has 3 keypoints"):
        candidates_in(values, replace(CARD, skeleton=SKELETON), ResizedFrame(CANVAS, CANVAS, CANVAS))


def test_a_canvas_that_contradicts_the_card_is_refused() -> None:
    with pytest.raises(IncompatibleError, match="strides"):
        candidates_in(outputs(0), CARD, ResizedFrame((64, 64), (64, 64), (64, 64)))


def test_nan_and_inf_are_no_detections() -> None:
    values = outputs(5)
    values["scores"][:] = np.nan
    values["boxes"][0] = np.nan
    values["scores"][0, 0] = 0.9
    values["boxes"][1] = (-np.inf, -np.inf, np.inf, np.inf)
    values["scores"][1, 1] = 0.8
    found = found_in(values, CARD, ResizedFrame(CANVAS, CANVAS, CANVAS))
    assert found.boxes.tolist() == [[0, 0, 64, 32]]
    assert found.labels.tolist() == [1]


def test_detections_equal_the_oracle_in_image_pixels() -> None:
    values = outputs(6)
    card = replace(CARD, suppress=Suppress(conf=0.05, iou=0.5, max_det=9))
    frame = ResizedFrame(image_size=(60, 100), resized_size=(30, 50), canvas_size=CANVAS)
    found = found_in(values, card, frame)
    rows = naive(values, Fusion(), 0.05, 20)
    boxes = np.clip([r[2:] for r in rows], 0, [50, 30, 50, 30])
    solid = (boxes[:, 2:] > boxes[:, :2]).all(1)
    boxes, scores, labels = (
        boxes[solid],
        np.array([r[0] for r in rows])[solid],
        np.array([r[1] for r in rows])[solid],
    )
    kept = nms(boxes, scores, labels, 0.5, 9)
    np.testing.assert_allclose(found.boxes, boxes[kept] * 2, rtol=1e-6)
    np.testing.assert_allclose(found.scores, scores[kept], rtol=1e-6)
    assert found.labels.tolist() == labels[kept].tolist()
    assert found.image_size == (100, 60)


def test_inclusive_boxes_are_cut_and_suppressed_with_their_last_pixel() -> None:
    """Before 2020: sides are x2 - x1 + 1, and the image of width W ends at W - 1."""
    values = outputs(8)
    values["boxes"][:4] = [[3, 3, 3, 20], [3, 3, 3, 20], [70, 3, 80, 9], [8, 8, 12, 7]]  # thin, twin, outside, empty
    card = replace(CARD, suppress=Suppress(conf=0.05, iou=0.5, max_det=1000, inclusive=True))
    card = replace(card, form=Dense(STRIDES, top_k=20, clip="last_pixel"))
    found = found_in(values, card, ResizedFrame(CANVAS, CANVAS, CANVAS))
    rows = sorted(naive(values, Fusion(), 0.05, 20), key=lambda row: -row[0])
    kept: list[tuple[float, int, np.ndarray]] = []
    for score, label, *corners in rows:
        box = np.clip(corners, 0, [63, 31, 63, 31])
        if (box[2:] + 1 <= box[:2]).any():
            continue
        wider = [np.concatenate((other[:2], other[2:] + 1)) for _, c, other in kept if c == label]
        if all(iou(other, np.concatenate((box[:2], box[2:] + 1))) <= 0.5 for other in wider):
            kept.append((score, int(label), box))
    assert found.labels.tolist() == [label for _, label, _ in kept]
    np.testing.assert_allclose(found.boxes, [box for *_, box in kept], rtol=1e-6)


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize(
    ("clip", "offset", "limits"),
    [
        ("image", (0, 0), (0, 0, 50, 30)),
        ("last_pixel", (0, 0), (0, 0, 49, 29)),
        ("canvas", (0, 0), (0, 0, 64, 32)),
        ("last_canvas_pixel", (0, 0), (0, 0, 63, 31)),
        ("none", (0, 0), (-1e9, -1e9, 1e9, 1e9)),
        ("image", (1, 7), (0, 0, 50, 30)),
        ("canvas", (1, 7), (-7, -1, 57, 31)),
        ("none", (1, 7), (-1e9, -1e9, 1e9, 1e9)),
    ],
)
def test_where_boxes_end(clip: str, offset: tuple[int, int], limits: tuple[float, ...], inclusive: bool) -> None:
    """In px of the resized image, 50x30, whose first pixel is at `offset` on a canvas of 64x32 px."""
    values = outputs(11)
    values["boxes"] = values["boxes"] * 1.5 - 20
    values["visible"] = values["boxes"] + np.float32(3)
    card = replace(CARD, form=replace(CARD.form, top_k=1000, clip=clip))
    card = replace(card, suppress=Suppress(conf=0.0, inclusive=inclusive))
    found = candidates_in(values, card, ResizedFrame((60, 100), (30, 50), CANVAS, offset))
    shift = np.array([*offset[::-1]] * 2)
    low, high = np.array(limits[:2] * 2), np.array(limits[2:] * 2)
    expected = []
    for box, seen, scores in zip(values["boxes"], values["visible"], values["scores"], strict=True):
        own = np.minimum(np.maximum(box.astype(np.float64) - shift, low), high)
        if own[2] + inclusive > own[0] and own[3] + inclusive > own[1]:  # a box of one px has an area then
            part = np.minimum(np.maximum(seen.astype(np.float64) - shift, low), high)
            expected += [(*own, *part, score) for score in scores]
    rows = np.column_stack((found.boxes, found.visible, found.scores))
    expected = np.array(expected)
    assert len(expected) > 20
    np.testing.assert_allclose(rows[np.lexsort(rows.T)], expected[np.lexsort(expected.T)], atol=1e-4)
    assert not np.signbit(found.boxes[found.boxes == 0]).any()  # which would be printed as -0.0


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize(
    ("clip", "ends"), [("image", 30), ("last_pixel", 29), ("canvas", 32), ("last_canvas_pixel", 31), ("none", 40)]
)
def test_where_boxes_of_a_file_that_suppresses_end(clip: str, ends: float, inclusive: bool) -> None:
    """The second box lies in the padding: clipped to the last pixel, it is one px high where that counts."""
    values = {
        "boxes": np.array([[4, 4, 20, 40], [4, 31, 20, 40]], np.float32), "scores": np.array([0.9, 0.8], np.float32),
        "labels": np.array([1, 1]), "num": np.array(2),
    }  # fmt: skip
    card = replace(CARD, form=Graph(clip), suppress=Suppress(conf=0.05, inclusive=inclusive))
    found = candidates_in(values, card, ResizedFrame((30, 50), (30, 50), CANVAS))
    expected = [[4, 4, 20, ends], [4, min(31, ends), 20, ends]]
    assert found.boxes.tolist() == (expected if ends > 31 or inclusive else expected[:1])


def test_chosen_classes_leave_room_for_one_another() -> None:
    card = replace(CARD, suppress=Suppress(conf=0.05, max_det=5)).with_place(Resize(CANVAS, pad=Pad(CANVAS)))
    backend = RecordedBackend({name: value[None] for name, value in outputs(7).items()}, {})
    found = Detector(backend, card, classes={1})(np.zeros((*CANVAS, 3), np.uint8))
    assert found.labels.tolist() == [1] * 5


@pytest.mark.parametrize("top_k", [2**63 - 1, 2**63 + 1, 2**64 - 1])
def test_a_limit_may_be_any_number(top_k: int) -> None:
    scores = outputs(8)["scores"]
    flags = dict(threshold_fused=False, rank_fused=False, points=False)
    pairs, kept = _native.select(scores, None, [POINTS], 0.3, top_k, (1, 0), **flags)
    np.testing.assert_array_equal(pairs, np.flatnonzero(scores > 0.3))
    np.testing.assert_array_equal(kept, scores[scores > 0.3])


def test_graph_outputs_are_cut_at_their_count() -> None:
    values = {
        "boxes": np.array([[0, 0, 8, 8], [4, 4, 20, 20], [0, 0, 0, 0]], np.float32),
        "scores": np.array([0.9, 0.1, 0], np.float32),
        "labels": np.array([1, 0, 0]),
        "num": np.array(2),
    }
    frame = ResizedFrame(image_size=(64, 128), resized_size=CANVAS, canvas_size=CANVAS)
    found = found_in(values, replace(CARD, form=Graph()), frame)
    assert found.boxes.tolist() == [[0, 0, 16, 16], [8, 8, 40, 40]]
    assert len(found_in(values, replace(CARD, form=Graph(), suppress=Suppress()), frame)) == 1
