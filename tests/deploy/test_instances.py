"""Instances and their columns: rows stay together, whatever is joined, chosen, added or moved."""

import copy
import pickle
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from cards import SKELETON

from detforge.deploy import Instances
from detforge.deploy.columns.column import Column
from detforge.deploy.columns.keypoints import Keypoints
from detforge.deploy.columns.quality import Quality
from detforge.deploy.columns.transform import Transform
from detforge.deploy.columns.visible import Visible

SIZE = (200, 100)


def poses(values: np.ndarray) -> Keypoints:
    return Keypoints(values, SKELETON, np.arange(1, len(values) + 1, dtype=np.float32) * 100)


def found(n: int, seed: int) -> Instances:
    """Detections with every column."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 80, (n, 2))
    boxes = np.concatenate((corners, corners + rng.uniform(1, 20, (n, 2))), 1).astype(np.float32)
    keypoints = rng.uniform(0, 90, (n, 3, 3)).astype(np.float32)
    columns = poses(keypoints), Quality(rng.uniform(0, 1, n).astype(np.float32)), Visible(boxes + 1)
    one = Instances(boxes, rng.uniform(0, 1, n).astype(np.float32), rng.integers(0, 2, n), ("a", "b"), SIZE)
    return replace(one, timing={"pre": 1.0}).with_columns(*columns)


def rows(one: Instances) -> list[tuple]:
    """Everything that is known of each detection, by itself."""
    areas = one.columns["keypoints"].areas
    values = (one.boxes, one.scores, one.labels, one.keypoints, areas, one.quality, one.visible)
    return [tuple(each[i].tolist() for each in values) for i in range(len(one))]


@pytest.mark.parametrize("counts", [(3, 2), (4,), (0, 5), (2, 0, 1), (0, 0)])
def test_joined_parts_keep_their_rows_and_order(counts: tuple[int, ...]) -> None:
    parts = [found(n, seed) for seed, n in enumerate(counts)]
    both = Instances.joined(parts)
    assert rows(both) == [row for part in parts for row in rows(part)]
    assert (both.names, both.image_size) == (("a", "b"), SIZE)
    assert both.keypoints.shape == (sum(counts), 3, 3)
    assert both.columns.keys() == {"keypoints", "quality", "visible"}


def test_parts_of_different_columns_are_not_joined() -> None:
    bare = replace(found(2, 0), columns={})
    for parts in ([found(1, 0), bare], [bare, found(1, 0)], [bare, bare.with_columns(Quality(np.ones(2, np.float32)))]):
        with pytest.raises(ValueError, match="different columns"):
            Instances.joined(parts)
    assert len(Instances.joined([bare, bare])) == 4


@pytest.mark.parametrize(
    "index", [slice(1, 4), slice(None, None, -1), np.array([4, 0, 0]), np.arange(5) % 2 == 0, np.zeros(5, bool)]
)
def test_chosen_rows_stay_whole(index: slice | np.ndarray) -> None:
    every = rows(found(5, 0))
    assert rows(found(5, 0)[index]) == [every[i] for i in np.arange(5)[index]]


@pytest.mark.parametrize("i", range(-3, 3))
def test_one_row_is_instances_of_one(i: int) -> None:
    one = found(3, 1)[i]
    assert rows(one) == [rows(found(3, 1))[i]]
    assert [rows(each) for each in found(3, 1)][i] == rows(one)


def test_columns_are_added_and_replaced() -> None:
    first = found(3, 2)
    quality = Quality(np.zeros(3, np.float32))
    changed = first.with_columns(quality)
    assert changed.quality is quality.values
    assert changed.keypoints is first.keypoints and changed.visible is first.visible
    assert first.quality.any()  # which stays as it was
    bare = replace(first, columns={})
    assert bare.with_columns().columns == {}
    added = bare.with_columns(quality, first.columns["visible"])
    assert list(added.columns) == ["quality", "visible"]
    assert bare.quality is None and bare.keypoints is None
    with pytest.raises(ValueError, match="read-only"):
        added.quality[0] = 1


@dataclass(frozen=True, eq=False)
class Lengths(Column):
    """A column of plain numbers that no other file knows."""

    name: ClassVar[str] = "length"


def test_a_column_of_ones_own_needs_a_name_alone() -> None:
    one = found(3, 0).with_columns(Lengths(np.array([1.0, 2.0, 3.0])))
    assert one.length.tolist() == [1, 2, 3]
    assert one[::-1].length.tolist() == Instances.joined([one[2], one[1], one[0]]).length.tolist() == [3, 2, 1]
    assert one.scaled((20, 10)).length.tolist() == [1, 2, 3]
    assert one.to_coco()[0].keys() >= {"bbox", "keypoints"}
    with pytest.raises(AttributeError, match="length"):
        _ = found(3, 0).length


def bounds(pose: np.ndarray) -> list[float]:
    """Of the keypoints that have a score, or of all of them."""
    seen = [p for p in pose.tolist() if p[2] > 0] or pose.tolist()
    return [min(p[0] for p in seen), min(p[1] for p in seen), max(p[0] for p in seen), max(p[1] for p in seen)]


@dataclass(frozen=True, eq=False)
class Corners(Column):
    """A second column with a place: the bounds of two points (n, 2, 2)."""

    name: ClassVar[str] = "corners"

    def bounds(self) -> np.ndarray:
        return np.concatenate((self.values.min(1), self.values.max(1)), 1)


def test_detections_without_boxes_have_the_bounds_of_what_is_known() -> None:
    rng = np.random.default_rng(0)
    values = rng.uniform(-20, 90, (20, 3, 3)).astype(np.float32)
    values[..., 2] = rng.choice([0.0, 0.5], (20, 3), p=(0.6, 0.4))
    points = rng.uniform(0, 99, (20, 2, 2)).astype(np.float32)
    rest = np.ones(20, np.float32), np.zeros(20, np.int64), ("a",), SIZE
    alone = Instances.around([poses(values)], *rest)
    np.testing.assert_array_equal(alone.boxes, np.array([bounds(pose) for pose in values], np.float32))
    assert alone.boxes.dtype == np.float32 and alone.columns.keys() == {"keypoints"}
    both = Instances.around([poses(values), Quality(np.ones(20, np.float32)), Corners(points)], *rest)
    for box, pose, own in zip(both.boxes, values, points, strict=True):
        ends = np.array([bounds(pose)[:2], bounds(pose)[2:], *own])
        np.testing.assert_allclose(box, [*ends.min(0), *ends.max(0)], rtol=1e-6)
    whole = Instances.around([Quality(np.ones(20, np.float32))], *rest)
    assert whole.boxes.tolist() == [[0, 0, *SIZE]] * 20 and whole.quality.tolist() == [1] * 20


@pytest.mark.parametrize("columns", [[], [poses(np.empty((0, 3, 3), np.float32))]])
def test_nothing_has_no_boxes(columns: list[Column]) -> None:
    none = Instances.around(columns, np.empty(0, np.float32), np.empty(0, np.int64), ("a",), SIZE)
    assert none.boxes.shape == (0, 4) and none.boxes.dtype == np.float32 and len(none) == 0
    assert none.to_coco() == []


def test_columns_move_with_their_boxes() -> None:
    before = found(4, 3)
    moved = before.mapped(Transform((400, 300), (2.0, 3.0), (5.0, -7.0)))
    np.testing.assert_allclose(moved.boxes, before.boxes * [2, 3, 2, 3] + [5, -7, 5, -7], rtol=1e-5)
    np.testing.assert_allclose(moved.visible, before.visible * [2, 3, 2, 3] + [5, -7, 5, -7], rtol=1e-5)
    np.testing.assert_allclose(moved.keypoints, before.keypoints * [2, 3, 1] + [5, -7, 0], rtol=1e-5)
    assert moved.columns["keypoints"].areas.tolist() == [600, 1200, 1800, 2400]
    assert moved.quality is before.quality
    assert moved.image_size == (400, 300) and moved.timing == {"pre": 1.0}


def test_in_a_mirror_left_and_right_change_places() -> None:
    before = found(4, 4)
    width = SIZE[0]
    back = before.mapped(Transform(SIZE, (-1.0, 1.0), (float(width), 0.0)))
    for box, own in ((before.boxes, back.boxes), (before.visible, back.visible)):
        expected = np.stack((width - box[:, 2], box[:, 1], width - box[:, 0], box[:, 3]), 1)
        np.testing.assert_allclose(own, expected, rtol=1e-5)
    expected = before.keypoints[:, [0, 2, 1]].copy()  # nose, right, left
    expected[..., 0] = width - expected[..., 0]
    np.testing.assert_allclose(back.keypoints, expected, rtol=1e-5)
    np.testing.assert_array_equal(back.columns["keypoints"].areas, before.columns["keypoints"].areas)


def test_copies_are_equal() -> None:
    first = found(3, 5)
    for same in (copy.copy(first), copy.deepcopy(first), pickle.loads(pickle.dumps(first))):
        assert rows(same) == rows(first)
        assert (same.names, same.image_size, same.timing) == (first.names, first.image_size, first.timing)
