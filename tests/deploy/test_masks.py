"""Masks: their pixels, run lengths and mapping, and the regions of a map of distances."""

from dataclasses import replace

import numpy as np
from conftest import COLOR_CARD

from detforge.deploy.columns.masks import Masks
from detforge.deploy.columns.transform import Transform
from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.forms import Change
from detforge.deploy.forms.form import Run
from detforge.deploy.inputs.network_inputs import ImageInput
from detforge.deploy.inputs.resize import ResizedFrame

L = np.array([[1, 0], [1, 1]], bool)


def column() -> Masks:
    """An L over px 2..6 x 1..5 of an image of 10x8, and a square beside it."""
    places = np.array([[2, 1, 6, 5], [7, 6, 9, 8]], np.float32)
    return Masks.of([L, np.ones((1, 1), bool)], places, (10, 8))


def drawn(masks: Masks) -> np.ndarray:
    """Each pixel of the image, asked by its centre."""
    width, height = masks.size
    image = np.zeros((height, width), bool)
    for mask, (x1, y1, x2, y2) in zip(masks.values, masks.places.astype(float), strict=True):
        for y, x in np.ndindex(height, width):
            if x1 <= x + 0.5 < x2 and y1 <= y + 0.5 < y2:
                row, cell = (y + 0.5 - y1) / (y2 - y1) * mask.shape[0], (x + 0.5 - x1) / (x2 - x1) * mask.shape[1]
                image[y, x] |= mask[int(row), int(cell)]
    return image


def decoded(segmentation: dict) -> np.ndarray:
    height, width = segmentation["size"]
    values = np.repeat(np.arange(len(segmentation["counts"])) % 2 == 1, segmentation["counts"])
    return values.reshape(width, height).T


def test_pixels_are_those_whose_centre_is_inside() -> None:
    for scale, shift in (((1, 1), (0, 0)), ((2.5, 1.3), (0.4, -0.7)), ((-1, 1), (10, 0)), ((0.3, 0.4), (0, 0))):
        masks = column().mapped(Transform((23, 17), scale, shift))
        np.testing.assert_array_equal(masks.whole(), drawn(masks))
        records = [decoded(record["segmentation"]) for record in masks.records()]
        np.testing.assert_array_equal(records[0] | records[1], masks.whole())
        assert all(record["segmentation"]["size"] == [17, 23] for record in masks.records())


def test_run_lengths_start_with_what_is_outside() -> None:
    corner = Masks.of([np.ones((1, 1), bool)], np.array([[0, 0, 2, 1]], np.float32), (3, 2))
    assert corner.records() == [{"segmentation": {"size": [2, 3], "counts": [0, 1, 1, 1, 3]}}]


def test_rows_are_taken_and_joined() -> None:
    masks = column()
    np.testing.assert_array_equal(Masks.joined([masks[:1], masks[1:]]).whole(), masks.whole())
    assert masks[1:].notes() == ["  4 px"]
    canvas = np.zeros((8, 10, 3), np.uint8)
    masks.paint(canvas, 0, 1)
    np.testing.assert_array_equal(canvas.any(2), masks[:1].whole())
    assert not masks[:0].whole().any()


def test_regions_of_distances_become_detections() -> None:
    distance = np.zeros((1, 6, 8), np.float32)
    distance[0, 1:3, 1:4] = 0.5, 0.7, 0.9
    distance[0, 4:6, 6:8] = 1.8
    distance[0, 3, 5] = 0.6  # touches a corner only
    second = ImageInput(COLOR_CARD.input.place, "rgb", (0,) * 3, (1,) * 3, second=True, name="against")
    card = replace(COLOR_CARD, inputs=(*COLOR_CARD.inputs, second), form=Change(), labels=("change",))
    card = replace(card, suppress=Suppress("none", conf=0.4))
    frame = ResizedFrame((12, 16), (12, 16), (12, 16))
    found = card.form.find([Run({"distance": distance}, frame)], card)
    np.testing.assert_allclose(found.boxes, [[2, 2, 8, 6], [10, 6, 12, 8], [12, 8, 16, 12]])
    np.testing.assert_allclose(found.scores, [0.7, 0.6, 1.0], atol=1e-6)
    np.testing.assert_array_equal(found.columns["masks"].whole(), np.repeat(np.repeat(distance[0] > 0.4, 2, 0), 2, 1))
    assert len(replace(card.form, least=2).find([Run({"distance": distance}, frame)], card)) == 2
    nothing = card.form.find([Run({"distance": distance * 0}, frame)], card)
    assert len(nothing) == 0 and not nothing.columns["masks"].whole().any()
