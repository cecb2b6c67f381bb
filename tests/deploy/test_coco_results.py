"""detinfer's results with COCO's ids, on pictures of known colours (see conftest.write_color_model)."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from detforge.deploy.detinfer import cli

CATEGORIES = [{"id": 18, "name": "red"}, {"id": 90, "name": "blue"}]


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A red quarter and a blue one in each of three pictures, two of the same name."""
    monkeypatch.chdir(tmp_path)
    image = np.zeros((128, 128, 3), np.uint8)
    image[:64, :64, 2] = 255
    image[64:, 64:, 0] = 200
    for name in ("photos/a/x.png", "photos/b/x.png", "photos/y.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(name, image)


def annotate(*names: str, categories: list[dict[str, Any]] = CATEGORIES, **more: Any) -> None:
    images = [{"id": 500 + i, "file_name": name} for i, name in enumerate(names)]
    content = {"images": images, "annotations": [], "categories": categories, **more}
    Path("truth.json").write_text(json.dumps(content))


def infer(model: Path, *argv: str) -> int:
    flags = ("--no-save", "--annotations", "truth.json", "--coco-results", "found.json", "--model", str(model))
    return cli.main(["photos", "--recursive", *flags, *argv])


def test_images_are_found_by_path_and_classes_by_name(color_model: Path) -> None:
    annotate("a/x.png", "b/x.png", "y.png")
    assert infer(color_model) == 0
    red = {"category_id": 18, "bbox": [0.0, 0.0, 64.0, 64.0], "score": 1.0}
    blue = {"category_id": 90, "bbox": [64.0, 64.0, 64.0, 64.0], "score": 0.78431}
    expected = [{"image_id": id, **row} for id in (500, 501, 502) for row in (red, blue)]
    assert json.loads(Path("found.json").read_text()) == expected


def test_classes_that_are_no_category_are_left_out(color_model: Path) -> None:
    annotate("a/x.png", "b/x.png", "y.png", categories=CATEGORIES[:1])
    assert infer(color_model) == 0
    assert [row["category_id"] for row in json.loads(Path("found.json").read_text())] == [18, 18, 18]


def test_pictures_without_an_id_are_named_and_the_others_go_on(
    color_model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    annotate("one/photos/a/x.png", "two/photos/a/x.png", "b/x.png", "elsewhere/b/x.png")
    assert infer(color_model) == 3
    errors = capfd.readouterr().err.splitlines()
    both = "one/photos/a/x.png or two/photos/a/x.png"
    assert f"error: a/x.png: may be {both} of truth.json; it is not in the results" in errors
    assert "error: y.png: not among the images of truth.json; it is not in the results" in errors
    assert {row["image_id"] for row in json.loads(Path("found.json").read_text())} == {502}


def test_no_file_without_any_picture(color_model: Path) -> None:
    annotate("z.png")
    assert infer(color_model) == 3
    assert not Path("found.json").exists()


@pytest.mark.parametrize("flags", [("--annotations", "truth.json"), ("--coco-results", "c.json")])
def test_both_flags_go_together(flags: tuple[str, ...], capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["photos", *flags]) == 2
    assert capfd.readouterr().err == "error: --coco-results takes its ids from --annotations; give both or neither\n"


def test_a_class_that_the_model_lacks(color_model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    box = {"image_id": 500, "category_id": 1, "bbox": [0, 0, 1, 1]}
    annotate("y.png", categories=[{"id": 1, "name": "zebra"}], annotations=[box])
    assert infer(color_model) == 3
    assert "truth.json: the model has no label 'zebra'" in capfd.readouterr().err
