"""Boxes from extreme points: against all combinations one by one, against the authors' numbers, and in time."""

import time
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from found import candidates_in
from golden.reader import load_ops

from detforge.deploy.card import Card, Provenance
from detforge.deploy.contract.parse import FieldError
from detforge.deploy.contract.port import Arrays
from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.forms import Extremes
from detforge.deploy.forms.extremes import SIDES
from detforge.deploy.forms.form import Run
from detforge.deploy.inputs.resize import ResizedFrame
from detforge.deploy.results.instances import Instances
from detforge.deploy.suppress import suppress
from detforge.models.zoo import find

WIDTH, HEIGHT, CLASSES = 20, 16, 3
FRAME = ResizedFrame((60, 76), (60, 76), (63, 79), (1, 1))


def card(form: Extremes, conf: float, classes: int = CLASSES) -> Card:
    labels = tuple(map(str, range(classes)))
    whole = find("extremenet_test").card(labels, Provenance("", None, "fp32", {}))
    return replace(whole, form=form, suppress=Suppress("none", conf=conf, max_det=10_000))


def points(count: int, seed: int, classes: int = CLASSES) -> Arrays:
    """Random points all over the map, many of them below the thresholds, and random centres."""
    random = np.random.default_rng(seed)
    outputs: Arrays = {"centres": random.uniform(0, 0.9, (classes, HEIGHT, WIDTH)).astype(np.float32) ** 3}
    for at in SIDES:
        low, high = {"t": (0, 8), "b": (8, HEIGHT)}.get(at, (0, HEIGHT))
        left, right = {"l": (0, 10), "r": (10, WIDTH)}.get(at, (0, WIDTH))
        cells = np.stack((random.integers(left, right, count), random.integers(low, high, count)), 1)
        outputs[f"{at}_cells"] = cells.astype(np.float32)
        outputs[f"{at}_points"] = (4 * (cells + random.uniform(0, 1, (count, 2)))).astype(np.float32)
        outputs[f"{at}_scores"] = np.sort(random.uniform(0, 1, count).astype(np.float32))[::-1].copy()
        outputs[f"{at}_labels"] = random.integers(0, classes, count)
    return outputs


def combinations(out: Arrays, rules: Extremes, conf: float) -> list[tuple[float, int, list[float]]]:
    """Score, label and box of every combination that counts, best first, one by one in float64."""
    found = []
    top, left = FRAME.offset
    height, width = FRAME.resized_size
    count = range(len(out["t_scores"]))
    for rows in product(count, repeat=4):
        (xt, yt), (xl, yl), (xb, yb), (xr, yr) = (
            out[f"{at}_cells"][i].astype(int) for at, i in zip(SIDES, rows, strict=True)
        )
        labels = {int(out[f"{at}_labels"][i]) for at, i in zip(SIDES, rows, strict=True)}
        scores = [float(out[f"{at}_scores"][i]) for at, i in zip(SIDES, rows, strict=True)]
        if len(labels) > 1 or min(scores) < rules.least_point or yt > min(yl, yb, yr) or xl > min(xt, xb, xr):
            continue
        if yb < max(yl, yt, yr) or xr < max(xt, xb, xl):
            continue
        [label] = labels
        centre = float(out["centres"][label, int((yt + yb + 0.5) / 2), int((xl + xr + 0.5) / 2)])
        score = (sum(scores) + 2 * centre) / 6
        if centre < rules.least_centre or score <= conf:
            continue
        sides = [out["l_points"][rows[1], 0], out["t_points"][rows[0], 1]]
        sides += [out["r_points"][rows[3], 0], out["b_points"][rows[2], 1]]
        box = [float(side) - (left, top)[i % 2] for i, side in enumerate(sides)]
        found.append((score, label, [min(max(s, 0.0), (width, height)[i % 2]) for i, s in enumerate(box)]))
    return sorted(found, key=lambda row: -row[0])[: rules.top_k]


@pytest.mark.parametrize("top_k", [5, 1000])
@pytest.mark.parametrize(("count", "classes"), [(0, 3), (1, 1), (9, 1), (14, 3)])
@pytest.mark.parametrize("rules", [Extremes(), Extremes(0.3, 0.2)], ids=["usual", "strict"])
def test_boxes_equal_all_combinations(rules: Extremes, count: int, classes: int, top_k: int) -> None:
    out, rules = points(count, count, classes), replace(rules, top_k=top_k)
    found = candidates_in(out, card(rules, 0.2, classes), FRAME)
    expected = combinations(out, rules, 0.2)
    assert len(found) == len(expected) and (count < 9 or len(expected) > 3)
    np.testing.assert_allclose(found.scores, [score for score, _, _ in expected], atol=1e-6)
    for score, label, box in expected:
        same = (np.abs(found.scores - score) < 1e-5) & (found.labels == label)
        assert np.abs(found.boxes[same] - box).max(1).min() < 1e-4


def test_points_beyond_the_map_and_no_numbers_are_left_out() -> None:
    out = points(9, 1, 1)
    for at, bad in zip(SIDES, (-1.0, np.nan, 1e9, WIDTH), strict=True):
        out[f"{at}_cells"][:, 0] = bad
    assert len(candidates_in(out, card(Extremes(), 0.0, 1), FRAME)) == 0
    out = points(9, 1, 1) | {"centres": np.full((1, HEIGHT, WIDTH), np.nan, np.float32)}
    assert len(candidates_in(out, card(Extremes(), 0.0, 1), FRAME)) == 0


@pytest.mark.parametrize("kind", ["every cell a centre", "few centres", "nothing fits"])
def test_crowded_maps_take_less_than_ten_milliseconds(kind: str) -> None:
    """All points are of one class and each on its side, so that any of 40^4 combinations may be a box."""
    random = np.random.default_rng(0)
    out: Arrays = {}
    near, far, between = (0, 30), (98, 128), (30, 98)
    for at, columns, rows in (("t", between, near), ("l", near, between), ("b", between, far), ("r", far, between)):
        cells = np.stack([random.integers(*side, 40) for side in (columns, rows)], 1)
        if kind == "nothing fits" and at == "t":  # left of all others
            cells[:, 0] = 0
        out[f"{at}_cells"] = np.maximum(cells, 1 if at == "l" else 0).astype(np.float32)
        out[f"{at}_points"] = out[f"{at}_cells"] * 4
        out[f"{at}_scores"] = np.sort(random.uniform(0.2, 1, 40).astype(np.float32))[::-1].copy()
        out[f"{at}_labels"] = np.zeros(40, np.int64)
    centres = random.uniform(0, 1, (80, 128, 128)).astype(np.float32)
    out["centres"] = np.where(centres > (0.95 if kind == "few centres" else 0), centres, 0).astype(np.float32)
    rules, frame = card(Extremes(), 0.0, 80), ResizedFrame((511, 511), (511, 511), (511, 511))
    spent = []
    for _ in range(10):
        start = time.perf_counter()
        found = rules.form.find([Run(out, frame)], rules)
        spent.append(time.perf_counter() - start)
    assert len(found) == (0 if kind == "nothing fits" else 1000)
    assert min(spent) < 0.010


@pytest.mark.parametrize("case", load_ops("extreme_post"), ids=lambda case: case["name"])
def test_suppression_and_ghosts_equal_the_authors(case: dict) -> None:
    """Their soft-NMS leaves copies of the boxes that it drops; those with a score of 0.05 or more are none."""
    decoded, args = case["in"]["decoded"], case["args"]
    ratio = np.array(args["inp_hw"][::-1] * 2) / np.array(args["out_hw"][::-1] * 2)
    boxes = decoded[:, :4] * ratio - np.array([args["border_left"], args["border_top"]] * 2)
    boxes = np.clip(boxes, 0, np.array(args["image_hw"][::-1] * 2)).astype(np.float32)
    labels = decoded[:, -1].astype(np.int64)
    found = Instances(boxes, decoded[:, 4].astype(np.float32), labels, tuple("abcde"), tuple(args["image_hw"][::-1]))
    rule = Suppress("gaussian", conf=0.05, floor=0.001, iou=0.5, max_det=60, inclusive=True)
    ours = suppress(found, replace(rule, ghosts=args["suppres_ghost"]))
    ours = ours[ours.scores > 0.05]
    theirs = case["out"]["rows"]
    theirs = theirs[theirs[:, 4] > 0.05]
    assert len(ours) == len(theirs) > 30
    order = np.argsort(-theirs[:, 4], kind="stable")
    np.testing.assert_allclose(ours.scores, theirs[order, 4], atol=1e-5)
    np.testing.assert_allclose(ours.boxes, theirs[order, :4], atol=1e-3)
    np.testing.assert_array_equal(ours.labels, theirs[order, 5])


def test_other_views_and_scales_are_moved_back() -> None:
    """A box of the mirrored image, and one of the image at half the size."""
    frame, small = ResizedFrame((60, 80), (60, 80), (60, 80)), ResizedFrame((60, 80), (30, 40), (60, 80), (5, 6))
    out = {"centres": np.ones((1, 15, 20), np.float32)}
    for at, x, y in (("t", 4, 2), ("l", 3, 5), ("b", 5, 8), ("r", 9, 4)):
        out[f"{at}_cells"] = np.array([[x, y]], np.float32)
        out[f"{at}_points"] = out[f"{at}_cells"] * 4
        out[f"{at}_scores"], out[f"{at}_labels"] = np.ones(1, np.float32), np.zeros(1, np.int64)
    runs = [Run(out, frame), Run(out, frame, mirrored=True), Run(out, small, scale=0.5)]
    rules = card(Extremes(flip=True, scales=(1.0, 0.5)), 0.2, 1)
    found = rules.form.find(runs, rules)
    assert found.image_size == (80, 60)
    assert found.boxes.tolist() == [[12, 8, 36, 32], [44, 8, 68, 32], [12, 6, 60, 54]]


@pytest.mark.parametrize(
    "change", [{"least_point": 1.1}, {"least_centre": -0.1}, {"top_k": 0}, {"scales": ()}, {"scales": (9.0,)}]
)
def test_rules_out_of_range_are_refused(change: dict) -> None:
    with pytest.raises(FieldError, match=rf"form\.{next(iter(change))}"):
        Extremes(**change)
