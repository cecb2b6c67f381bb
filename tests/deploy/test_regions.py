"""Regions of probability maps: polygons equal to RapidOCR's and PaddleOCR's, and cases by hand."""

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from found import found_in

from detforge.deploy.card import Card, Provenance
from detforge.deploy.contract.parse import FieldError
from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.forms import Regions
from detforge.deploy.inputs.network_inputs import ImageInput
from detforge.deploy.inputs.resize import Pad, Resize
from detforge.deploy.results.instances import Instances
from detforge.deploy.system.errors import AbsentError
from detforge.models.skeletons import COCO_PERSON

GOLDEN = Path(__file__).parents[1] / "golden" / "adopted" / "regions.npz"
CARD = Card(
    model="text",
    inputs=(ImageInput(Resize(keep_aspect=False, pad=Pad(multiple=32)), "bgr", (0.0,) * 3, (1.0,) * 3),),
    form=Regions(),
    labels=("text",),
    provenance=Provenance("none", None, "fp32"),
    suppress=Suppress("none", conf=0.5, max_det=1000),
)


def found(values: np.ndarray, image: tuple[int, int], card: Card = CARD) -> Instances:
    """The regions of a map (h, w) in px of an image of (height, width)."""
    frame = replace(CARD.input.place, pad=Pad((values.shape[0], values.shape[1]))).whole(image)
    return found_in({"map": values[None]}, card, frame)


def recorded(case: str) -> tuple[np.ndarray, np.ndarray, tuple[int, int], np.lib.npyio.NpzFile]:
    """A map and the size (height, width) of its image."""
    golden = np.load(GOLDEN)
    values = cv2.imdecode(golden[f"{case}/prob_png"], cv2.IMREAD_GRAYSCALE).astype(np.float32) / 255
    height, width = golden[f"{case}/image"].tolist()
    return values, (height, width), golden


@pytest.mark.parametrize("case", ["a", "b"])
def test_rectangles_are_those_of_rapidocr(case: str) -> None:
    """RapidOCR rounds corners to whole px of the image."""
    values, (height, width), golden = recorded(case)
    regions = found(values, (height, width))
    boxes, scores = golden[f"{case}/boxes"], golden[f"{case}/scores"]
    order = np.argsort(-scores, kind="stable")
    np.testing.assert_allclose(regions.scores, scores[order], atol=1e-6)
    ours = np.clip(np.stack(list(regions.polygons)), 0, [width, height])
    assert np.abs(ours - boxes[order]).max() <= 0.5 + 1e-4


@pytest.mark.parametrize("case", ["a", "b"])
def test_outlines_are_those_of_paddleocr(case: str) -> None:
    """PaddleOCR rounds corners to whole px of the image."""
    values, (height, width), golden = recorded(case)
    regions = found(values, (height, width), replace(CARD, form=Regions(shape="outline")))
    theirs = np.split(golden[f"{case}/outlines"], golden[f"{case}/outline_ends"][:-1])
    assert len(regions) == len(theirs)
    for polygon in regions.polygons:
        ours = np.clip(polygon, 0, [width, height])
        assert any(len(ours) == len(other) and np.abs(ours - other).max() <= 0.5 + 1e-4 for other in theirs)


def test_an_upright_rectangle_grows_by_its_area_over_its_perimeter() -> None:
    values = np.zeros((64, 96), np.float32)
    values[20:41, 30:71] = 0.9  # corners (30, 20) and (70, 40): 800 px and 120 px around, enlarged by 10.67
    card = replace(CARD, form=Regions(dilate=False))
    regions = found(values, (32, 48), card)  # an image half as large
    np.testing.assert_allclose(regions.boxes * 2, [[19, 9, 81, 51]], atol=1)
    np.testing.assert_allclose(regions.scores, [0.9], atol=1e-6)
    np.testing.assert_allclose(regions.polygons[0], [[9.5, 4.5], [40.5, 4.5], [40.5, 25.5], [9.5, 25.5]], atol=0.5)


def test_weak_and_small_regions_are_dropped() -> None:
    values = np.zeros((64, 64), np.float32)
    values[5:7, 5:7] = 0.9
    values[20:40, 20:40] = 0.4
    assert len(found(values, (64, 64))) == 0
    assert len(found(np.zeros((64, 64), np.float32), (64, 64))) == 0


def test_bad_values_find_nothing() -> None:
    for value in (np.nan, np.inf, -np.inf):
        found(np.full((32, 32), value, np.float32), (32, 32))


@pytest.mark.parametrize("fields", [{"threshold": 0.0}, {"threshold": 1.0}, {"unclip": -1.0}])
def test_parameters_are_checked(fields: dict[str, float]) -> None:
    with pytest.raises(FieldError, match=r"form\."):
        Regions(**fields)


def test_an_outline_follows_its_region() -> None:
    values = np.zeros((96, 96), np.float32)
    values[20:71, 20:31] = values[60:71, 20:71] = 0.9  # an L
    card = replace(CARD, form=Regions(dilate=False, unclip=0.0, shape="outline"))
    [outline] = found(values, (96, 96), card).polygons
    corners = {(20, 20), (30, 20), (30, 60), (70, 60), (70, 70), (20, 70)}
    assert all(min(np.hypot(x - a, y - b) for x, y in outline) <= 1.5 for a, b in corners)
    assert cv2.contourArea(outline) == pytest.approx(10 * 50 + 10 * 40, abs=4)


def test_a_card_with_regions_has_no_keypoints() -> None:
    assert Card.from_json(CARD.to_json()) == CARD
    assert CARD.missing({"map"}) == []
    with pytest.raises(FieldError, match="no keypoints"):
        replace(CARD, skeleton=COCO_PERSON)


def test_without_pyclipper_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyclipper", None)
    values = np.full((64, 64), 0.9, np.float32)
    with pytest.raises(AbsentError, match=r"detforge\[text\]"):
        found(values, (64, 64))
