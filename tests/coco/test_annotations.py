"""COCO's annotations: what is read of them, and files that are none."""

import json
from pathlib import Path
from typing import Any

import pytest

from detforge.deploy.coco.annotations import Category, Object, read_annotations
from detforge.deploy.system.errors import InputError

OBJECT = {"image_id": 7, "category_id": 3, "bbox": [1, 2, 10, 20.5], "iscrowd": 1, "area": 9}
CONTENT: dict[str, Any] = {
    "images": [{"id": 7, "file_name": "deep/x.png"}, {"id": 1, "file_name": "y.png"}],
    "annotations": [OBJECT, {"image_id": 7, "category_id": 4, "bbox": [0, 0, 1, 1], "keypoints": [1, 2, 2, 3, 4, 0]}],
    "categories": [{"id": 3, "name": "b"}, {"id": 4, "name": "a", "keypoints": ["l", "r"]}],
}


def read(tmp_path: Path, content: Any):
    path = tmp_path / "t.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_annotations(path, tmp_path / "photos")


def test_what_is_read(tmp_path: Path) -> None:
    annotations = read(tmp_path, "\ufeff" + json.dumps(CONTENT))
    first, second = annotations.images
    assert (first.id, first.name, first.file) == (7, "deep/x.png", tmp_path / "photos/deep/x.png")
    assert first.objects == (
        Object(3, (1, 2, 10, 20.5), 9, True),
        Object(4, (0, 0, 1, 1), keypoints=(1, 2, 2, 3, 4, 0)),
    )
    assert second.objects == ()
    assert annotations.categories == {3: Category("b"), 4: Category("a", ("l", "r"))}


def test_missing_images_are_counted(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "y.png").write_bytes(b"x")
    with pytest.raises(InputError, match=r"1 of its 2 images are missing, the first is .*deep/x\.png; give the folder"):
        read(tmp_path, CONTENT).check_files()


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("", "{", "not JSON"),
        ("", "[" * 100_000, "not JSON"),
        ("", "[]", "categories must be a list"),
        ("", "{}", "categories must be a list"),
        ("images", 3, "images must be a list of objects"),
        ("annotations", [3], "annotations must be a list of objects"),
        ("images.1.id", 7, r"images\[1\]\.id must be a whole number that no other has"),
        ("images.1.id", "7", r"images\[1\]\.id must be"),
        ("images.0.file_name", None, r"images\[0\]\.file_name must be a text"),
        ("categories.1.name", "b", r"categories\[1\] repeats the name 'b'"),
        ("categories.1.keypoints", "lr", r"categories\[1\]\.keypoints must be a list of texts"),
        ("annotations.0.image_id", 8, r"annotations\[0\]\.image_id must be the id of an image"),
        ("annotations.0.category_id", 8, r"annotations\[0\]\.category_id must be the id of a category"),
        ("annotations.0.bbox", [1, 2, 3], r"annotations\[0\]\.bbox must be four numbers"),
        ("annotations.0.bbox", [1, 2, 3, float("nan")], r"annotations\[0\]\.bbox must be four numbers"),
        ("annotations.0.area", "big", r"annotations\[0\]\.area must be a number"),
        ("annotations.1.keypoints", [1, 2, 2], r"annotations\[1\]\.keypoints must be 6 numbers"),
        ("annotations.0.keypoints", [1, 2], r"annotations\[0\]\.keypoints must be three numbers for each keypoint"),
    ],
)
def test_what_is_refused(path: str, value: Any, problem: str, tmp_path: Path) -> None:
    content: Any = json.loads(json.dumps(CONTENT))
    if path:
        *parents, name = path.split(".")
        place = content
        for parent in parents:
            place = place[int(parent)] if parent.isdigit() else place[parent]
        place[name] = value
    with pytest.raises(InputError, match=rf"t\.json: .*{problem}"):
        read(tmp_path, content if path else value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"t\.json: cannot be read"):
        read_annotations(tmp_path / "t.json", tmp_path)
