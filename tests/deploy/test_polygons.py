"""The column of polygons: rows stay together, coordinates move, and every output shows them."""

import json

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detforge.deploy import Instances
from detforge.deploy.columns.polygons import Polygons
from detforge.deploy.columns.transform import Transform
from detforge.deploy.detinfer.save import _yolo_lines

SIZE = (200, 100)
TRIANGLE = np.array([[10, 10], [50, 10], [10, 40]])
QUAD = np.array([[60.5, 10], [90, 20], [80, 50], [55, 45]])
STAR = np.array([[120, 20], [130, 40], [150, 45], [130, 55], [125, 80]])


def found(*polygons: np.ndarray) -> Instances:
    scores = np.linspace(0.9, 0.5, len(polygons)).astype(np.float32)
    return Instances.around([Polygons.of(polygons)], scores, np.zeros(len(polygons), np.int64), ("text",), SIZE)


def same(one: Instances, polygons: list[np.ndarray]) -> bool:
    return len(one) == len(polygons) and all(
        mine.dtype == np.float32 and np.array_equal(mine, other.astype(np.float32))
        for mine, other in zip(one.polygons, polygons, strict=True)
    )


def test_rows_are_chosen_and_joined() -> None:
    every = found(TRIANGLE, QUAD, STAR)
    assert same(every, [TRIANGLE, QUAD, STAR])
    assert same(every[[2, 0]], [STAR, TRIANGLE])
    assert same(every[1], [QUAD])
    assert same(every[np.array([False, True, True])], [QUAD, STAR])
    assert same(Instances.joined([every[:1], every[3:], every[1:]]), [TRIANGLE, QUAD, STAR])
    same_length = found(QUAD, QUAD + 1)  # which NumPy would make one array of
    assert same(Instances.joined([same_length, same_length[1]]), [QUAD, QUAD + 1, QUAD + 1])


def test_boxes_are_the_bounds() -> None:
    assert found(TRIANGLE, STAR).boxes.tolist() == [[10, 10, 50, 40], [120, 20, 150, 80]]
    assert found().boxes.shape == (0, 4) and len(found().polygons) == 0


def test_polygons_move_with_their_image() -> None:
    moved = found(TRIANGLE, STAR).mapped(Transform((400, 300), (2.0, 3.0), (5.0, -1.0)))
    assert same(moved, [TRIANGLE * [2, 3] + [5, -1], STAR * [2, 3] + [5, -1]])
    assert moved.boxes[0].tolist() == [25, 29, 105, 119]
    assert same(found(STAR).scaled((400, 200)), [STAR * 2])


def test_json_has_cocos_segmentation() -> None:
    [one, two] = json.loads(json.dumps(found(TRIANGLE, QUAD).to_coco("a.png")))
    assert one["segmentation"] == [[10, 10, 50, 10, 10, 40]] and one["bbox"] == [10, 10, 40, 30]
    assert two["segmentation"] == [[60.5, 10, 90, 20, 80, 50, 55, 45]]


def test_label_files_have_the_corners_as_parts_of_the_image() -> None:
    [line, other] = _yolo_lines(found(TRIANGLE, QUAD), False).splitlines()
    assert [float(x) for x in line.split()[5:]] == [0.05, 0.1, 0.25, 0.1, 0.05, 0.4]
    assert len(other.split()) == 5 + 8


def test_the_outline_is_drawn() -> None:
    image = np.zeros((100, 200, 3), np.uint8)
    drawn = found(STAR).draw(image)
    assert drawn[50, 140].any()  # on its lower right side, far from the box
    assert not found().draw(image).any()
    found(STAR * 1e9, np.full((3, 2), np.nan)).draw(image)


def nearest(corner: np.ndarray, polygon: np.ndarray) -> float:
    """The distance to the outline by OpenCV, which takes single precision."""
    return abs(cv2.pointPolygonTest(polygon.astype(np.float32).reshape(-1, 1, 2), corner.tolist(), True))


@given(st.integers(0, 10_000))
def test_the_distance_is_that_of_the_farthest_corner(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, two = (rng.uniform(0, 100, (rng.integers(3, 7), 2)).astype(np.float32) for _ in range(2))
    [[distance]] = Polygons.of([one]).distances(Polygons.of([two]))
    farthest = max(*(nearest(corner, two) for corner in one), *(nearest(corner, one) for corner in two))
    assert distance == pytest.approx(farthest, abs=1e-3)
    assert Polygons.of([one]).distances(Polygons.of([np.roll(one, 1, 0)])).max() == pytest.approx(0, abs=1e-4)


def test_supervision_gets_them() -> None:
    pytest.importorskip("supervision", reason="needs the package supervision")
    assert [len(each) for each in found(TRIANGLE, STAR).to_supervision()[1:].data["polygons"]] == [5]
