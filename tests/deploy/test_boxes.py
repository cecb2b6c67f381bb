"""Boxes from a file, for pose networks."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detforge.deploy.detinfer.given_boxes import read_boxes
from detforge.deploy.inputs.sources import Picture
from detforge.deploy.system.errors import InputError

LABELS = ("person", "dog")
IMAGE = np.zeros((20, 30, 3), np.uint8)


def write(tmp_path: Path, entries: Any) -> Path:
    file = tmp_path / "boxes.json"
    file.write_text(entries if isinstance(entries, str) else json.dumps(entries))
    return file


def test_boxes_by_name_in_the_order_of_the_file(tmp_path: Path) -> None:
    entries = [
        {"image": "a.jpg", "bbox": [1, 2, 3, 4], "score": 0.5},
        {"image": "b.jpg", "bbox": [0, 0, 1, 1]},
        {"image": "deep/a.jpg", "bbox": [5, 6.5, 7, 8], "category": "dog"},
        {"image": "a.jpg", "bbox": [0, 0, 9, 9], "category": "cat"},
    ]
    found = read_boxes(write(tmp_path, entries), LABELS).of(Picture("photos/deep/a.jpg", IMAGE))
    assert found.boxes.tolist() == [[1, 2, 4, 6], [5, 6.5, 12, 14.5]]
    assert found.scores.tolist() == [0.5, 1.0]
    assert found.labels.tolist() == [0, 1]
    assert found.image_size == (30, 20)


def test_numbers_of_coco_stand_for_names(tmp_path: Path) -> None:
    file = write(tmp_path, [{"image_id": 139, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}])
    given = read_boxes(file, LABELS)
    picture = Picture("val2017/000000000139.jpg", IMAGE)
    assert len(given.of(picture)) == 1
    assert given.facts(picture) == {"image_id": 139, "category_id": 1}
    other = Picture("val2017/000000000140.jpg", IMAGE)
    assert given.of(other).boxes.shape == (0, 4)
    assert given.facts(other) == {}


def test_frames_of_a_video(tmp_path: Path) -> None:
    given = read_boxes(write(tmp_path, [{"image": "v.mp4", "frame": 3, "bbox": [1, 2, 3, 4]}]), LABELS)
    assert [len(given.of(Picture("v.mp4", IMAGE, index))) for index in (2, 3)] == [0, 1]


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ("[", "not JSON"),
        ("{}", "not a list"),
        ([], "no box of person or dog"),
        ([1], "entry 0 is no object"),
        ([{"image": "a", "bbox": [1, 2, 3]}], "no bbox of four"),
        ([{"image": "a", "bbox": [1, 2, 3, "4"]}], "no bbox of four"),
        ('[{"image": "a", "bbox": [1, 2, 3, NaN]}]', "no bbox of four"),
        ([{"bbox": [1, 2, 3, 4]}], "names no image"),
        ([{"image": 5, "bbox": [1, 2, 3, 4]}], "names no image"),
        ([{"image": "a", "bbox": [1, 2, 3, 4], "score": "high"}], "score that is no number"),
    ],
)
def test_what_is_no_list_of_boxes(tmp_path: Path, entries: Any, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        read_boxes(write(tmp_path, entries), LABELS)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_boxes(tmp_path / "none.json", LABELS)
