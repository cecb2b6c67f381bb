"""Drawing: inside the image, on a copy, colours that can be told apart."""

import cv2
import numpy as np
import pytest

from detforge.deploy.columns.keypoints import Keypoints
from detforge.deploy.columns.palette import color_of
from detforge.deploy.contract.parse import FieldError
from detforge.deploy.contract.skeleton import Skeleton
from detforge.deploy.results.instances import Instances

LABELS = ("qr_code", "a class with a rather long name")


def instances(boxes: list[list[float]], size: tuple[int, int]) -> Instances:
    n = len(boxes)
    return Instances(
        np.array(boxes, np.float32).reshape(n, 4), np.linspace(0.9, 0.3, n, dtype=np.float32),
        np.arange(n) % 2, LABELS, size,
    )  # fmt: skip


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 400), (3000, 9), (100, 75), (640, 480), (6000, 4000)])
def test_every_size_and_place_is_drawn_on_a_copy(width: int, height: int) -> None:
    image = np.full((height, width, 3), 100, np.uint8)
    boxes = [
        [0, 0, width, height],
        [width / 2, 0, width, height / 8],
        [-5, height - 1, width + 5, height],
    ]
    drawn = instances(boxes, (width, height)).draw(image)
    assert drawn.shape == image.shape and drawn.dtype == np.uint8
    assert (image == 100).all() and (drawn != image).any()


def test_nothing_found_changes_nothing() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    np.testing.assert_array_equal(instances([], (50, 40)).draw(image), image)


def test_the_box_is_where_it_should_be_in_the_colour_of_its_class() -> None:
    drawn = instances([[200, 150, 400, 300]], (640, 480)).draw(np.zeros((480, 640, 3), np.uint8))
    colored = (drawn == color_of(0)).all(axis=2)
    assert colored[150, 250:390].all() and colored[299, 210:390].all()
    assert colored[160:290, 200].all() and colored[160:290, 399].all()
    assert not drawn[170:280, 220:380].any()


def test_lines_and_letters_grow_with_the_image() -> None:
    def plate_rows(side: int) -> int:
        box = [side * 0.3, side * 0.5, side * 0.6, side * 0.9]
        drawn = instances([box], (side, side)).draw(np.zeros((side, side, 3), np.uint8))
        return int(drawn[: int(side * 0.49)].any(axis=(1, 2)).sum())

    assert plate_rows(500) >= 12
    assert 8 <= plate_rows(5000) / plate_rows(500) <= 12


def test_the_plate_stays_inside_at_every_border() -> None:
    size = (320, 240)
    for box in ([300, 0, 320, 20], [0, 0, 20, 240], [300, 225, 320, 240]):
        drawn = instances([box], size).draw(np.zeros((240, 320, 3), np.uint8))
        # A plate that the border cuts off would be narrower.
        plate = (drawn == color_of(0)).all(axis=2).sum(axis=1).max()
        assert plate > 50


def test_eighty_classes_can_be_told_apart() -> None:
    colors = np.array([color_of(i) for i in range(80)], np.float32)
    lab = cv2.cvtColor(colors[None] / 255, cv2.COLOR_BGR2Lab)[0]
    distance = np.linalg.norm(lab[:, None] - lab, axis=2) + 1e3 * np.eye(80)
    assert distance.min() > 10  # 2.3 is a just noticeable difference
    assert color_of(3) == color_of(103) and len({color_of(i) for i in range(100)}) == 100


def test_limbs_have_colours_of_their_own_and_unsure_keypoints_are_left_out() -> None:
    skeleton = Skeleton(("a", "b", "c", "d"), ((0, 1), (1, 2), (2, 3)), (), (0.1,) * 4)
    points = [[100, 100, 0.9], [300, 100, 0.8], [300, 300, 0.7], [100, 300, 0.2]]
    column = Keypoints(np.array([points], np.float32), skeleton, np.ones(1, np.float32))
    found = instances([[50, 50, 350, 350]], (400, 400)).with_columns(column)
    drawn = found.draw(np.zeros((400, 400, 3), np.uint8))
    assert tuple(drawn[100, 200]) == color_of(0) and tuple(drawn[200, 300]) == color_of(1)
    assert not drawn[300, 200].any() and not drawn[300, 100].any()
    assert (drawn[[100, 100, 300], [100, 300, 300]] == 255).all()


def test_a_skeletons_own_colours_are_drawn() -> None:
    colors, link_colors = ((255, 0, 0), (0, 255, 0)), ((0, 0, 255),)  # RGB, and the canvas is BGR
    skeleton = Skeleton(("a", "b"), ((0, 1),), (), (0.1, 0.1), colors, link_colors)
    points = np.array([[[100, 100, 0.9], [300, 100, 0.8]]], np.float32)
    found = instances([[50, 50, 350, 350]], (400, 400)).with_columns(
        Keypoints(points, skeleton, np.ones(1, np.float32))
    )
    drawn = found.draw(np.zeros((400, 400, 3), np.uint8))
    assert [tuple(drawn[100, x].tolist()) for x in (100, 200, 300)] == [(0, 0, 255), (255, 0, 0), (0, 255, 0)]


@pytest.mark.parametrize("colors", [((1, 2, 3),), ((0, 0, 0), (0, 0, 256))])
def test_colours_that_do_not_fit_a_skeleton_are_refused(colors: tuple) -> None:
    with pytest.raises(FieldError, match=r"skeleton\.colors"):
        Skeleton(("a", "b"), (), (), (0.1, 0.1), colors)


@pytest.mark.parametrize("place", [(np.nan, 5.0), (1e12, -1e12), (-3.0, 500.0)])
def test_keypoints_anywhere_are_drawn(place: tuple[float, float]) -> None:
    skeleton = Skeleton(("a", "b"), ((0, 1),), (), (0.1, 0.1))
    points = np.array([[[*place, 0.9], [20, 20, 0.9]]], np.float32)
    column = Keypoints(points, skeleton, np.ones(1, np.float32))
    found = instances([[5, 5, 35, 35]], (40, 40)).with_columns(column)
    assert found.draw(np.zeros((40, 40, 3), np.uint8)).any()
