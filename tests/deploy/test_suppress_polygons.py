"""The overlap and suppression of polygons against shapely and EAST, by Cards, flags and tiles."""

from dataclasses import replace

import numpy as np
import pytest
from golden.reader import load_ops

from detforge.deploy import _native
from detforge.deploy.adjust import adjusted
from detforge.deploy.card import Card, Provenance
from detforge.deploy.columns.polygons import Polygons
from detforge.deploy.contract.choices import SUPPRESSION
from detforge.deploy.contract.parse import FieldError
from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.forms import Regions
from detforge.deploy.inputs.network_inputs import ImageInput
from detforge.deploy.inputs.resize import Resize
from detforge.deploy.options import Options
from detforge.deploy.pipelines.tiles import find_in_tiles
from detforge.deploy.results.instances import Instances
from detforge.deploy.suppress import RULES, suppress
from detforge.deploy.suppress.polygons import iou
from detforge.deploy.system.errors import UsageError

CASES = {case["name"]: case for case in load_ops("polygons")}
MERGED = {case["name"]: case for case in load_ops("rotated_boxes") if case["name"].startswith("lnms")}
BAR = np.array([[10, 10], [90, 10], [90, 20], [10, 20]], np.float32)


def found(polygons: list[np.ndarray], scores: np.ndarray, labels: np.ndarray | None = None) -> Instances:
    numbers = np.zeros(len(scores), np.int64) if labels is None else labels
    names = tuple(f"class {i}" for i in range(100))
    return Instances.around([Polygons.of(polygons)], scores.astype(np.float32), numbers, names, (400, 300))


def turned(polygon: np.ndarray, degrees: float) -> np.ndarray:
    angle, centre = np.deg2rad(degrees), polygon.mean(0)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return ((polygon - centre) @ turn.T + centre).astype(np.float32)


@pytest.mark.parametrize("reverse", [False, True])
def test_the_overlap_equals_shapelys(reverse: bool) -> None:
    """Also of polygons that are not convex, and in either direction."""
    rotated, quads, concave = (CASES[name] for name in ("rotated_iou", "quad_iou", "concave_iou"))
    given = {
        "rotated_iou": list(rotated["out"]["corners"]),
        "quad_iou": list(quads["in"]["quads"]),
        "concave_iou": [concave["in"][f"poly{i}"] for i in range(3)],
    }
    for name, polygons in given.items():
        overlaps = iou([polygon[::-1] if reverse and i % 2 else polygon for i, polygon in enumerate(polygons)])
        np.testing.assert_allclose(overlaps, CASES[name]["out"]["iou"], atol=2e-6, err_msg=name)


@pytest.mark.parametrize("name", [name for name in CASES if "nms" in name])
def test_what_stays_equals_the_reference(name: str) -> None:
    given, threshold = CASES[name]["in"], CASES[name]["args"]["iou_threshold"]
    polygons = given["quads"] if "quads" in given else CASES["rotated_iou"]["out"]["corners"]
    rows = found(list(polygons), given["scores"])
    rows = replace(rows, labels=np.arange(len(rows)))
    rule = Suppress("polygons", conf=0.0, iou=threshold, class_agnostic=True)
    assert suppress(rows, rule, "polygons").labels.tolist() == CASES[name]["out"]["keep"].tolist()


@pytest.mark.parametrize("name", MERGED)
def test_neighbours_merge_as_in_east(name: str) -> None:
    """Their order counts: the two cases have the same boxes in another order."""
    rows, expected = MERGED[name]["in"]["quads"], MERGED[name]["out"]["out"]
    quads = np.ascontiguousarray(rows[:, :8].reshape(-1, 4, 2), np.float32)
    corners, sums = _native.locality_nms(quads, rows[:, 8].astype(np.float32), MERGED[name]["args"]["thresh"], 100)
    np.testing.assert_allclose(corners.reshape(-1, 8), expected[:, :8], rtol=1e-6, atol=1e-4)
    np.testing.assert_allclose(sums, expected[:, 8], rtol=1e-6)


def test_squares_overlap_by_hand() -> None:
    square = np.array([[0, 0], [10, 0], [10, 10], [0, 10]])
    notched = np.array([[0, 0], [10, 0], [10, 10], [5, 5], [0, 10]])  # 75 px, all of them in the square
    diamond = np.array([[5, -5], [15, 5], [5, 15], [-5, 5]])  # 200 px, with all of the square
    np.testing.assert_allclose(iou([square, notched, diamond, square + 20])[0], [1, 0.75, 0.5, 0], atol=1e-12)
    np.testing.assert_allclose(iou([square + 1e5, notched + 1e5])[0], [1, 0.75], atol=1e-9)


def test_shapes_without_area_overlap_nothing() -> None:
    point, line, empty = np.ones((1, 2)), np.array([[0, 0], [9, 9]]), np.zeros((0, 2))
    broken = np.array([[0, 0], [np.nan, 0], [9, 9]])
    endless = np.array([[0, 0], [np.inf, 0], [9, 9]])
    shapes = [BAR, point, line, empty, broken, endless]
    overlaps = iou(shapes)
    assert overlaps[0, 0] == pytest.approx(1) and not overlaps[0, 1:].any() and np.isfinite(overlaps).all()
    kept = _native.polygon_nms(np.zeros((0, 2), np.float32), np.zeros(0, np.int64), *_empty(), 0.5, 10)
    assert kept.tolist() == []
    with pytest.raises(ValueError, match="end with their corners"):
        _native.polygon_nms(np.zeros((3, 2), np.float32), np.array([2]), np.ones(1, "f"), np.zeros(1, int), 0.5, 10)


def _empty() -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(0, np.float32), np.zeros(0, np.int64)


def test_crossing_lines_of_text_both_stay_where_boxes_would_hide_one() -> None:
    """Two thin bars cross: their boxes are nearly the same, the bars are not."""
    rows = found([turned(BAR, 40), turned(BAR, -40), turned(BAR, 41)], np.array([0.9, 0.8, 0.7]))
    assert suppress(rows, Suppress("hard", iou=0.5), "polygons").scores.tolist() == pytest.approx([0.9])
    assert suppress(rows, Suppress("polygons", iou=0.5), "polygons").scores.tolist() == pytest.approx([0.9, 0.8])
    assert len(suppress(rows, Suppress("polygons", iou=0.5, max_det=1), "polygons")) == 1
    classes = replace(rows, labels=np.array([0, 1, 2]))
    assert len(suppress(classes, Suppress("polygons", iou=0.5), "polygons")) == 3


def test_each_kind_of_each_comparison_has_its_rule() -> None:
    assert SUPPRESSION.keys() == RULES.keys()
    for compared, kinds in SUPPRESSION.items():
        assert set(kinds) <= RULES[compared].keys(), compared


CARD = Card(
    model="text",
    inputs=(ImageInput(Resize(), "bgr", (0.0,) * 3, (1.0,) * 3),),
    form=Regions(),
    labels=("text",),
    provenance=Provenance("none", None, "fp32"),
    suppress=Suppress("none"),
)


def test_a_card_and_the_option_take_it_where_there_are_polygons() -> None:
    assert adjusted(CARD, Options(nms="polygons", iou=0.3), {"map"}).suppress == Suppress("polygons", iou=0.3)
    with pytest.raises(UsageError, match="compares polygons; choose nms from polygons, hard"):
        adjusted(CARD, Options(nms="locality"), {"map"})
    with pytest.raises(FieldError, match="kind"):
        replace(CARD, suppress=Suppress("oks"))


def test_lines_of_text_are_found_once_in_tiles() -> None:
    """A crossing pair in the overlap of two tiles is seen in both tiles and in the whole image."""
    place = np.array([150, 60], np.float32)
    lines = [turned(BAR, 40) + place, turned(BAR, -40) + place]
    image = np.zeros((200, 400, 3), np.uint8)

    def look(images: object) -> list[Instances]:
        """What the network would see in the image and in its tiles, which start at 0, 100 and 200 px."""
        seen = [found(lines, np.array([0.9, 0.8]))]
        for x in (0, 100, 200):
            inside = [line - [x, 0] for line in lines if x <= line[:, 0].min() and line[:, 0].max() <= x + 200]
            part = found(inside, np.array([0.95, 0.85])[: len(inside)])
            seen.append(replace(part, image_size=(200, 200)))
        return [replace(one, timing={"pre": 0.0, "infer": 0.0, "post": 0.0}) for one in seen]

    rule = Suppress("polygons", iou=0.5)
    tiled = find_in_tiles(look, lambda each: suppress(each, rule, "polygons"), image, 200, 0.5)
    np.testing.assert_allclose(tiled.scores, [0.95, 0.85])
    np.testing.assert_allclose(np.stack(list(tiled.polygons)), lines, atol=1e-4)
