"""Peaks and pairs of corners: the naive float64 oracle, the two rules for borders, and the mirrored image."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import COLOR_CARD
from found import candidates_in, found_in

from detforge.deploy import Detector, Instances
from detforge.deploy.backends.recorded import RecordedBackend
from detforge.deploy.card import Card
from detforge.deploy.contract.parse import FieldError
from detforge.deploy.contract.port import Arrays
from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.detinfer.save import Saver
from detforge.deploy.forms import Centripetal, Corners, Peaks
from detforge.deploy.inputs.resize import Pad, Resize, ResizedFrame
from detforge.deploy.inputs.sources import Picture
from detforge.deploy.loader import load
from detforge.deploy.system.errors import UsageError

FRAME = ResizedFrame((90, 120), (90, 120), (127, 127), (18, 3))


def corner_card(rules: Corners | Centripetal, conf: float = 0.3, kind: str = "none") -> Card:
    return replace(COLOR_CARD, labels=("a", "b"), form=rules, suppress=Suppress(kind, conf=conf, max_det=10_000))


def corners(count: int, seed: int) -> Arrays:
    """Random corners of two labels on a canvas of 127 px, all over it and with many tags alike."""
    random = np.random.default_rng(seed)
    outputs: Arrays = {}
    for at in ("tl", "br"):
        outputs[f"{at}_points"] = random.uniform(-10, 137, (count, 2)).astype(np.float32)
        outputs[f"{at}_scores"] = np.sort(random.uniform(0, 1, count).astype(np.float32))[::-1].copy()
        outputs[f"{at}_labels"] = random.integers(0, 2, count)
        outputs[f"{at}_tags"] = random.normal(0, 1, count).astype(np.float32)
        outputs[f"{at}_centres"] = random.uniform(30, 90, (count, 2)).astype(np.float32)
    return outputs


def alike(outputs: Arrays, i: int, j: int, rules: Corners, frame: ResizedFrame, box: list[float]) -> bool:
    """Whether two tags are."""
    return abs(float(outputs["tl_tags"][i]) - float(outputs["br_tags"][j])) <= rules.tag_distance


def in_one_place(outputs: Arrays, i: int, j: int, rules: Centripetal, frame: ResizedFrame, box: list[float]) -> bool:
    """Whether two corners expect the centre in the middle of their box, and not too far apart."""
    border = np.array(frame.offset[::-1])
    ends = [outputs["tl_centres"][i] - border, outputs["br_centres"][j] - border]
    if rules.cut == "origin":
        ends = [[max(float(side), 0.0) for side in end] for end in ends]
    shares = []
    for low, high, first, second in zip(box[:2], box[2:], *ends, strict=True):
        area = (box[2] - box[0]) * (box[3] - box[1])
        half = (high - low) / rules.shrink[int(area > 3500)] / 2
        middle = (low + high) / 2
        if not middle - half < first < middle + half or not middle - half < second < middle + half:
            return False
        shares.append(abs(second - first) / (2 * half))
    return shares[0] * shares[1] <= rules.spread


def pairs(outputs: Arrays, rules: Corners | Centripetal, conf: float, frame: ResizedFrame) -> list[tuple]:
    """Score, label and box of every pair that counts, best first, one by one in float64."""
    belong = alike if isinstance(rules, Corners) else in_one_place
    found = []
    top, left = frame.offset
    height, width = frame.resized_size
    for i, (x1, y1) in enumerate(outputs["tl_points"].astype(np.float64) - (left, top)):
        for j, (x2, y2) in enumerate(outputs["br_points"].astype(np.float64) - (left, top)):
            score = (float(outputs["tl_scores"][i]) + float(outputs["br_scores"][j])) / 2
            if outputs["tl_labels"][i] != outputs["br_labels"][j] or score <= conf:
                continue
            box = [x1, y1, x2, y2]
            if rules.cut == "origin":
                box = [max(side, 0.0) for side in box]
            if box[2] <= box[0] or box[3] <= box[1] or not belong(outputs, i, j, rules, frame, box):
                continue
            if rules.cut == "image":
                box = [min(max(s, 0.0), limit) for s, limit in zip(box, (width, height) * 2, strict=True)]
            found.append((score, int(outputs["tl_labels"][i]), *box))
    return sorted(found, key=lambda row: -row[0])[: rules.top_k]


@pytest.mark.parametrize("cut", ["origin", "image"])
@pytest.mark.parametrize("top_k", [7, 1000])
@pytest.mark.parametrize("count", [0, 1, 100])
@pytest.mark.parametrize("rules", [Corners(), Centripetal(), Centripetal(shrink=(1.0, 1.5), spread=0.1)], ids=repr)
def test_pairs_equal_the_oracle(rules: Corners | Centripetal, count: int, top_k: int, cut: str) -> None:
    outputs, rules = corners(count, seed=count), replace(rules, top_k=top_k, cut=cut)
    found = candidates_in(outputs, corner_card(rules), FRAME)
    expected = pairs(outputs, rules, 0.3, FRAME)
    assert len(found.scores) == len(expected) and (len(expected) > 5 or count < 100)
    assert found.boxes.dtype == found.scores.dtype == np.float32
    for i, (score, label, *box) in enumerate(expected):
        assert found.scores[i] == pytest.approx(score, abs=1e-6)
        assert found.labels[i] == label
        assert found.boxes[i] == pytest.approx(box, abs=1e-4)


def test_corners_left_of_the_image_are_moved_before_pairs_are_checked() -> None:
    """Both x lie in the border: no box is left by mmdet's rule, an empty one by the authors'."""
    one = {"points": [[0.0, 30.0]], "scores": [0.9], "labels": [0], "tags": [0.0]}
    other = {"points": [[2.0, 60.0]], "scores": [0.9], "labels": [0], "tags": [0.0]}
    types = {"labels": np.int64}
    outputs = {
        f"{at}_{name}": np.array(value, types.get(name, np.float32))
        for at, corner in (("tl", one), ("br", other))
        for name, value in corner.items()
    }
    assert len(candidates_in(outputs, corner_card(Corners(cut="origin")), FRAME).scores) == 0
    assert candidates_in(outputs, corner_card(Corners(cut="image")), FRAME).boxes.tolist() == [[0, 12, 0, 42]]


def test_peaks_keep_their_boxes_beyond_the_border() -> None:
    boxes = np.array([[0, 10, 140, 60], [20, 30, 40, 50]], np.float32)
    outputs = {"boxes": boxes, "scores": np.array([0.9, 0.2], np.float32), "labels": np.array([1, 0])}
    card = replace(COLOR_CARD, labels=("a", "b"), form=Peaks(), suppress=Suppress("none", conf=0.5))
    found = found_in(outputs, card, replace(FRAME, image_size=(45, 60)))
    assert found.boxes.tolist() == [[-1.5, -4, 68.5, 21]]  # twice as large as the image, and moved by the border
    assert found.labels.tolist() == [1]


def test_boxes_beyond_the_border_are_drawn_and_cut_out(tmp_path: Path) -> None:
    boxes = np.array([[-5.5, -3, 4, 6], [-9, 2, -2, 8], [15, 5, 1e12, 40], [25, 30, 26, 31]], np.float32)
    found = Instances(boxes, np.ones(4, np.float32), np.zeros(4, np.int64), ("a",), (20, 10))
    image = np.zeros((10, 20, 3), np.uint8)
    with Saver(tmp_path, annotated=True, txt=True, crops=True) as saver:
        saver.save(Picture("a.png", image), found)
    sizes = [cv2.imread(str(file)).shape[:2] for file in sorted((tmp_path / "crops" / "a").iterdir())]
    assert sizes == [(6, 4), (6, 1), (5, 5), (1, 1)]
    assert (tmp_path / "a.png").is_file()


def test_boxes_that_are_no_numbers_go() -> None:
    boxes = np.array([[0, 0, np.nan, 5], [0, 0, np.inf, 5], [0, 0, 5, 5]], np.float32)
    outputs = {"boxes": boxes, "scores": np.full(3, 0.9, np.float32), "labels": np.zeros(3, np.int64)}
    card = replace(COLOR_CARD, form=Peaks(), suppress=Suppress("none"))
    assert found_in(outputs, card, FRAME).boxes.tolist() == [[-3, -18, 2, -13]]


class TwoViews(RecordedBackend):
    """Answers the first batch with one recording and the second with another."""

    def __init__(self, first: Arrays, second: Arrays) -> None:
        super().__init__(first, {})
        self.answers = [first, second]
        self.seen: list[np.ndarray] = []

    def run(self, feeds):
        self.seen.append(feeds["image"].copy())
        return self.answers[len(self.seen) - 1]


def as_corners(boxes: list[list[float]], scores: list[float]) -> Arrays:
    """What a network gives, in a batch of one, that sees these boxes, in px of an image that lies as FRAME says."""
    points = np.array(boxes, np.float32) + np.array([3, 18, 3, 18], np.float32)
    count = len(boxes)
    outputs: Arrays = {"tl_points": points[None, :, :2], "br_points": points[None, :, 2:]}
    for at in ("tl", "br"):
        outputs[f"{at}_scores"] = np.array([scores], np.float32)
        outputs[f"{at}_labels"] = np.zeros((1, count), np.int64)
        outputs[f"{at}_tags"] = 10 * np.arange(count, dtype=np.float32)[None]
    return outputs


def test_both_views_are_suppressed_together() -> None:
    place = Resize(pad=Pad(multiple=128, rule="or", centered=True))
    card = corner_card(Corners(flip=True), kind="hard").with_place(place)
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    plain = as_corners([[10, 10, 40, 50], [60, 20, 110, 80]], [0.9, 0.5])
    mirrored = as_corners([[80, 10, 110, 50], [10, 20, 60, 81], [100, 60, 119, 90]], [0.7, 0.8, 0.6])
    backend = TwoViews(plain, mirrored)
    found = Detector(backend, card)(image)
    assert found.boxes.tolist() == [[10, 10, 40, 50], [60, 20, 110, 81], [1, 60, 20, 90]]
    assert found.scores.tolist() == pytest.approx([0.9, 0.8, 0.6])
    seen, mirror = (batch[0][:, 18:108, 3:123] for batch in backend.seen)
    np.testing.assert_array_equal(seen, mirror[:, :, ::-1])
    once = TwoViews(plain, mirrored)
    assert len(Detector(once, replace(card, form=Corners()))(image)) == 2
    assert len(once.seen) == 1


def test_flip_is_for_networks_made_for_it(color_model) -> None:
    with pytest.raises(UsageError, match=r"flip has no effect .* leave it out"):
        load(str(color_model), flip=True)


@pytest.mark.parametrize(
    "rules", [Peaks(), Corners(50, "image", True, 0.25), Centripetal(50, "image", True, (2.1, 2.4), 1.0)]
)
def test_rules_survive_the_trip_through_json(rules: Peaks | Corners | Centripetal) -> None:
    card = replace(COLOR_CARD, form=rules, suppress=Suppress("gaussian", sigma=0.3))
    assert Card.from_json(card.to_json()) == card


@pytest.mark.parametrize("change", [{"tag_distance": -0.1}, {"top_k": 0}])
def test_rules_out_of_range_are_refused(change: dict) -> None:
    with pytest.raises(FieldError, match=rf"form\.{next(iter(change))}"):
        Corners(**change)


@pytest.mark.parametrize("change", [{"shrink": (0.9, 2.0)}, {"spread": 1.5}, {"top_k": 0}])
def test_central_regions_lie_in_their_boxes(change: dict) -> None:
    with pytest.raises(FieldError, match=rf"form\.{next(iter(change))}"):
        Centripetal(**change)
