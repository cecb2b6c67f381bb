"""Tiles: what all of them and the whole image show is suppressed once, by the Card's rule."""

import json
from pathlib import Path

import numpy as np
import pytest
from oracles import iou, ious, nms, soft_nms

from detforge.deploy import Instances, load
from detforge.deploy.choose import BUNDLED
from detforge.deploy.detinfer import cli
from detforge.deploy.inputs.image import read_image

DESK = Path(__file__).parents[2] / "examples" / "photos" / "desk.jpg"
CONF, IOU, SIGMA = 0.2, 0.6, 0.5
TILE, OVERLAP = 512, 0.2
CORNERS = [(x, y) for y in (0, 128) for x in (0, 224, 448)]
"""Where the tiles of 960x640 px begin: no more than 409 px apart, evenly, the last ending with the image."""


def candidates(image: np.ndarray) -> Instances:
    """Everything that the bundled model sees in an image."""
    return load(str(BUNDLED), conf=CONF, nms="none", max_det=100_000)(np.ascontiguousarray(image))


def everything(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes, scores and labels of all views in px of the image, without what a tile cuts off something whole."""
    height, width = image.shape[:2]
    views = [(candidates(image), 0, 0, np.zeros(4, bool))]
    for x, y in CORNERS:
        inner = np.array([x > 0, y > 0, x + TILE < width, y + TILE < height])
        views.append((candidates(image[y : y + TILE, x : x + TILE]), x, y, inner))
    rows = []
    for found, x, y, inner in views:
        for one in found:
            box = one.boxes[0].astype(np.float64)
            near = np.array([box[0] < 1, box[1] < 1, box[2] > TILE - 1, box[3] > TILE - 1])
            moved = box + np.array([x, y, x, y])
            rows.append((moved, float(one.scores[0]), int(one.labels[0]), bool((near & inner).any())))
    kept = []
    for box, score, label, is_cut in rows:
        area = (box[2] - box[0]) * (box[3] - box[1])
        wholes = [other for other, _, own, cut in rows if own == label and not cut]
        shared = [
            max(0, min(box[2], other[2]) - max(box[0], other[0]))
            * max(0, min(box[3], other[3]) - max(box[1], other[1]))
            for other in wholes
        ]
        if not is_cut or max(shared, default=0) <= area / 2:
            kept.append((box, score, label))
    boxes, scores, labels = zip(*kept, strict=True)
    return np.array(boxes), np.array(scores), np.array(labels)


@pytest.fixture(scope="module")
def seen() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return everything(read_image(DESK))


@pytest.mark.parametrize("kind", ["gaussian", "linear", "hard", "none"])
def test_all_candidates_are_suppressed_once(kind: str, seen: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    boxes, scores, labels = seen
    assert len(scores) > 100
    if kind in ("gaussian", "linear"):
        expected = soft_nms(boxes, scores, labels, IOU, SIGMA if kind == "gaussian" else None, CONF)
    else:
        threshold = 2.0 if kind == "none" else IOU
        expected = [(i, scores[i]) for i in nms(boxes, scores, labels, threshold, 100_000)]
    model = load(str(BUNDLED), nms=kind, conf=CONF, iou=IOU, sigma=SIGMA, max_det=100_000)
    found = model.find_tiled(read_image(DESK), TILE, OVERLAP)
    assert len(found) == len(expected)
    np.testing.assert_allclose(found.scores, [score for _, score in expected], atol=1e-4)
    for one, (i, score) in zip(found, expected, strict=True):
        same = (np.abs(found.scores - score) < 1e-4) & (found.labels == labels[i])  # equal scores in any order
        assert np.abs(found.boxes[same] - boxes[i]).max(1).min() < 0.02
        assert one.image_size == (960, 640)


def test_soft_suppression_finds_about_as_many_with_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def found(*flags: str) -> list[dict]:
        assert cli.main([str(DESK), "--model", str(BUNDLED), "--no-save", "--json", "found.json", *flags]) == 0
        return json.loads(Path("found.json").read_text())

    whole = found("--nms", "gaussian")
    assert len(whole) >= 5
    for tile in ("512", "900"):
        soft, hard = found("--nms", "gaussian", "--tile", tile), found("--nms", "hard", "--tile", tile)
        assert len(whole) <= len(soft) <= 1.5 * len(whole)
        assert abs(len(soft) - len(hard)) <= 1
        for record in whole:  # nothing that the whole image shows is lost
            x, y, w, h = record["bbox"]
            own = [o["bbox"] for o in soft if o["label"] == record["label"]]
            corners = np.array([[a, b, a + c, b + d] for a, b, c, d in own])
            assert ious(corners, np.array([x, y, x + w, y + h])).max() > 0.6


def test_no_two_detections_of_tiles_are_one_thing() -> None:
    found = load(str(BUNDLED)).find_tiled(read_image(DESK), TILE, OVERLAP)
    for i, one in enumerate(found.boxes):
        for other in found.boxes[:i][found.labels[:i] == found.labels[i]]:
            assert iou(one, other) <= IOU


def test_an_image_of_one_tile_is_looked_at_once() -> None:
    image = read_image(DESK)[:300, :300]
    model = load(str(BUNDLED), conf=0.1)
    alone, tiled = model(image), model.find_tiled(image, 300, 0.5)
    np.testing.assert_array_equal(alone.boxes, tiled.boxes)
    np.testing.assert_array_equal(alone.scores, tiled.scores)
