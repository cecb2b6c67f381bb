"""Masks as a column: pasted against PyTorch in float64, written against pycocotools, mirrored, joined and drawn."""

import numpy as np
import pytest
import torch
from found import detections
from pycocotools import mask as coco
from torch.nn import functional as F

from detforge.deploy.columns.masks import Masks
from detforge.deploy.columns.transform import Transform

SIZE = (90, 70)  # width, height
BOXES = np.array(
    [
        [10.3, 5.2, 60.8, 55.1],
        [-12.5, 20.0, 30.25, 90.0],  # beyond two sides
        [70.1, 60.4, 89.9, 69.9],
        [40.0, 30.0, 41.5, 33.0],
        [95.0, 10.0, 120.0, 40.0],  # outside
    ],
    np.float32,
)
GRIDS = np.random.default_rng(0).uniform(0, 1, (len(BOXES), 14, 14)).astype(np.float32)


def exact(grid: np.ndarray, box: np.ndarray) -> np.ndarray:
    """OpenMMLab's rule: sampled where each pixel's centre lies in the box, 0 outside."""
    x1, y1, x2, y2 = box.astype(np.float64)
    x = (torch.arange(SIZE[0], dtype=torch.float64) + 0.5 - x1) / (x2 - x1) * 2 - 1
    y = (torch.arange(SIZE[1], dtype=torch.float64) + 0.5 - y1) / (y2 - y1) * 2 - 1
    places = torch.stack((x.expand(len(y), -1), y[:, None].expand(-1, len(x))), -1)[None]
    values = F.grid_sample(torch.tensor(grid).double()[None, None], places, align_corners=False)
    return values[0, 0].numpy() >= 0.5


def whole(grid: np.ndarray, box: np.ndarray) -> np.ndarray:
    """torchvision's rule: an empty border around the mask, the box larger in proportion and cut to whole px."""
    cells = len(grid)
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * np.float32((cells + 2) / cells)
    x1, y1, x2, y2 = np.trunc(np.concatenate((centre - half, centre + half))).astype(int)
    larger = F.pad(torch.tensor(grid).double(), (1, 1, 1, 1))[None, None]
    width, height = max(x2 - x1 + 1, 1), max(y2 - y1 + 1, 1)
    values = F.interpolate(larger, (int(height), int(width)), mode="bilinear", align_corners=False)[0, 0].numpy() >= 0.5
    mask = np.zeros(SIZE[::-1], bool)
    for y, x in np.argwhere(values):
        if 0 <= y + y1 < SIZE[1] and 0 <= x + x1 < SIZE[0]:
            mask[y + y1, x + x1] = True
    return mask


def cells(grid: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Each pixel's centre is looked up in the mask."""
    (x1, y1, x2, y2), (rows, columns) = box.astype(np.float64), grid.shape
    mask = np.zeros(SIZE[::-1], bool)
    for y, x in np.ndindex(*mask.shape):
        if x1 <= x + 0.5 < x2 and y1 <= y + 0.5 < y2:
            mask[y, x] = grid[int((y + 0.5 - y1) / (y2 - y1) * rows), int((x + 0.5 - x1) / (x2 - x1) * columns)] >= 0.5
    return mask


@pytest.mark.parametrize(("paste", "rule"), [("exact", exact), ("whole", whole), ("cells", cells)])
def test_pasted_masks_equal_the_references_rule(paste, rule) -> None:
    masks = Masks(GRIDS, BOXES, SIZE, paste).read()
    assert masks.shape == (len(BOXES), SIZE[1], SIZE[0])
    assert masks.any((1, 2)).tolist() == [True, True, True, True, False]
    for ours, grid, box in zip(masks, GRIDS, BOXES, strict=True):
        np.testing.assert_array_equal(ours, rule(grid, box))


def test_records_are_those_of_pycocotools() -> None:
    masks = Masks(GRIDS, BOXES, SIZE)
    for record, mask in zip(masks.records(), masks.read(), strict=True):
        expected = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
        assert record["segmentation"] == {"size": expected["size"], "counts": expected["counts"].decode()}
    solid = Masks(np.ones((1, 2, 2), np.float32), np.array([[-3000, -2000, 6000, 4000]], np.float32), (3000, 2000))
    expected = coco.encode(np.ones((2000, 3000), np.uint8, order="F"))
    assert solid.records()[0]["segmentation"]["counts"] == expected["counts"].decode()


def test_masks_follow_their_detections() -> None:
    scores, labels = np.linspace(1, 0.2, len(BOXES), dtype=np.float32), np.zeros(len(BOXES), int)
    found = detections(BOXES, scores, labels, Masks(GRIDS, BOXES, SIZE))
    np.testing.assert_array_equal(found[[2, 0]].masks, found.masks[[2, 0]])
    joined = type(found).joined([found[:2], found[2:]])
    np.testing.assert_array_equal(joined.masks, found.masks)
    mirrored = found.mapped(Transform(SIZE, (-1.0, 1.0), (float(SIZE[0]), 0.0)))
    assert (mirrored.masks[0] != found.masks[0, :, ::-1]).mean() < 1e-3
    twice = found.mapped(Transform((180, 140), (2.0, 2.0)))
    assert twice.masks.shape == (len(BOXES), 140, 180)
    assert twice.masks[0].sum() == pytest.approx(4 * found.masks[0].sum(), rel=0.1)
    assert found.to_supervision().mask.shape == found.masks.shape


def test_masks_are_drawn_inside_the_image() -> None:
    column = Masks(GRIDS, BOXES, SIZE)
    for row in range(len(BOXES)):
        canvas = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
        column.paint(canvas, row, 1)
        mask = column.read()[row]
        assert canvas[mask].any(-1).all()
        assert canvas.any() == mask.any()


def test_boxes_that_are_no_boxes_have_empty_masks() -> None:
    odd = np.array([[np.nan] * 4, [5, 5, 5, 5], [-np.inf, 0, np.inf, 1e9]], np.float32)
    for paste in ("exact", "whole", "cells"):
        assert Masks(np.zeros((3, 4, 4), np.float32), odd, SIZE, paste).read().sum() == 0


def test_masks_may_differ_in_size() -> None:
    ell = np.array([[1, 0], [1, 1]], bool)
    masks = Masks.of([ell, np.ones((1, 1), bool)], np.array([[2, 1, 6, 5], [7, 6, 9, 8]], np.float32), (10, 8), "cells")
    expected = np.zeros((8, 10), bool)
    expected[1:5, 2:4] = expected[3:5, 4:6] = expected[6:8, 7:9] = True
    np.testing.assert_array_equal(masks.union(), expected)
    np.testing.assert_array_equal(masks.read().any(0), expected)
    np.testing.assert_array_equal(Masks.joined([masks[:1], masks[1:]]).union(), expected)
    mirrored = masks.mapped(Transform((10, 8), (-1.0, 1.0), (10.0, 0.0)))
    np.testing.assert_array_equal(mirrored.union(), expected[:, ::-1])
    assert masks.notes() == ["  12 px", "  4 px"]
    assert masks[:0].read().shape == (0, 8, 10) and not masks[:0].union().any()
