"""The model that ships: small, itself exported from the weights that ship, and good at what it is for."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from oracles import iou

from detforge.deploy import load
from detforge.deploy.backends.open import open_backend
from detforge.deploy.choose import BUNDLED, BUNDLED_POSE
from detforge.deploy.inputs.image import read_image
from detforge.models.checkpoint import load_variant, read_checkpoint
from detforge.models.zoo import find

EVALUATION = Path(__file__).parents[2] / "examples" / "evaluation"


def test_it_is_small_and_complete() -> None:
    assert BUNDLED.stat().st_size < 5_000_000
    card = load(str(BUNDLED)).card
    assert card.model == "gfl_markers"
    assert card.labels == ("qr_code", "barcode", "aruco", "chessboard")
    assert card.provenance.parity is not None


def test_the_pose_model_is_small_and_for_what_the_detector_finds() -> None:
    assert BUNDLED_POSE.stat().st_size < 5_000_000
    both = load(str(BUNDLED), pose_model=str(BUNDLED_POSE))
    assert both.estimator.card.labels == both.detector.card.labels
    assert both.estimator.card.provenance.parity is not None


@pytest.mark.parametrize(
    ("name", "file", "shape"),
    [("gfl_markers", BUNDLED, (288, 416)), ("corners_markers", BUNDLED_POSE, (192, 192))],
)
def test_they_equal_the_weights_in_pytorch(name: str, file: Path, shape: tuple[int, int]) -> None:
    variant = find(name)
    assert variant.bundled is not None
    model = load_variant(variant, read_checkpoint(variant.bundled))
    image = np.random.default_rng(0).standard_normal((1, 3, *shape), np.float32)
    got = open_backend(str(file)).run({"image": image})
    with torch.inference_mode():
        expected = model(torch.from_numpy(image))
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value.numpy(), atol=2e-3, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("label", "least_hits", "most_false"),
    # Of 16, 14, 53 and 12; 35 of the markers are one grid board, each of 16 px to the network.
    [("qr_code", 12, 5), ("barcode", 12, 2), ("aruco", 16, 4), ("chessboard", 10, 4)],
)
def test_it_finds_what_it_is_for(label: str, least_hits: int, most_false: int) -> None:
    """On photographs composed by another route than training, at IoU 0.5."""
    detector = load(str(BUNDLED), classes=[label])
    truth = json.loads((EVALUATION / "annotations.json").read_text())
    category = detector.card.labels.index(label)
    hits = given = 0
    for entry in truth["images"]:
        own = [a for a in truth["annotations"] if a["image_id"] == entry["id"]]
        crowd = [a["bbox"] for a in own if a["iscrowd"]]
        boxes = [xyxy(a["bbox"]) for a in own if a["category_id"] == category and not a["iscrowd"]]
        found = detector(read_image(EVALUATION / entry["file_name"])).boxes
        # What lies in a crowd region counts neither for nor against.
        given += sum(not any(covers(region, box) for region in crowd) for box in found)
        hits += sum(any(iou(box, other) > 0.5 for other in found) for box in boxes)
    assert hits >= least_hits
    assert given - hits <= most_false


def test_corners_span_the_boxes_that_are_known() -> None:
    """On the same photographs, in boxes that are some px off: the bounds of a symbol's corners are its box."""
    pose = load(str(BUNDLED_POSE))
    truth = json.loads((EVALUATION / "annotations.json").read_text())
    shift = np.array([3, -2, -2, 3], np.float32)
    overlaps: list[float] = []
    for entry in truth["images"]:
        own = [a["bbox"] for a in truth["annotations"] if a["image_id"] == entry["id"] and not a["iscrowd"]]
        boxes = np.array([xyxy(box) for box in own if min(box[2:]) > 40], np.float32).reshape(-1, 4)
        corners = pose(read_image(EVALUATION / entry["file_name"]), boxes + shift).keypoints[..., :2] + 0.5
        bounds = np.concatenate((corners.min(1), corners.max(1)), 1)
        overlaps += [iou(found, box) for found, box in zip(bounds, boxes, strict=True)]
    assert len(overlaps) > 40
    assert np.median(overlaps) > 0.9
    assert np.mean(np.array(overlaps) > 0.75) > 0.85


def covers(coco: list[float], box: np.ndarray) -> bool:
    """Whether the centre of a box xyxy lies in a COCO box xywh."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return coco[0] <= x <= coco[0] + coco[2] and coco[1] <= y <= coco[1] + coco[3]


def xyxy(coco: list[float]) -> np.ndarray:
    """A COCO box xywh by its corners."""
    x, y, w, h = coco
    return np.array([x, y, x + w, y + h])
