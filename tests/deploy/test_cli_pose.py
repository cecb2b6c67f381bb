"""detinfer with pose networks, on pictures whose keypoints are lights at known places (see pose_stand_in)."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pose_stand_in import lights, write_lights_model

from detforge.deploy import Detector, PoseEstimator, TopDown, load
from detforge.deploy.detinfer import cli

PLACES = np.array([[60, 70], [90, 120], [70, 160]])
BOX = [40, 50, 70, 130]


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_lights_model(Path("lights.onnx"))
    cv2.imwrite("a.png", lights((260, 200), PLACES, 6.0))
    cv2.imwrite("b.png", lights((260, 200), PLACES + 10, 6.0))


def write_boxes(*entries: dict[str, Any]) -> str:
    Path("boxes.json").write_text(json.dumps(entries), encoding="utf-8-sig")  # as Windows editors write it
    return "boxes.json"


def infer(capfd: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = cli.main([*argv])
    return code, *capfd.readouterr()


def keypoints(record: dict[str, Any]) -> np.ndarray:
    return np.array(record["keypoints"]).reshape(-1, 3)


def test_given_boxes(capfd: pytest.CaptureFixture[str]) -> None:
    boxes = write_boxes(
        {"image": "b.png", "bbox": [50, 60, 70, 130], "score": 0.5},
        {"image": "a.png", "bbox": BOX},
        {"image": "a.png", "bbox": BOX},
    )
    code, out, _ = infer(capfd, "a.png", "b.png", "--model", "lights.onnx", "--boxes", boxes, "--json", "-")
    records = json.loads(out)
    assert code == 0 and [r["image"] for r in records] == ["a.png", "a.png", "b.png"]
    for record, shift in zip(records, (0, 0, 10), strict=True):
        np.testing.assert_allclose(keypoints(record)[:, :2], PLACES + shift, atol=0.1)
        assert record["image_size"] == [200, 260] and record["category"] == "red"
    assert records[0]["bbox"] == BOX
    assert records[2]["score"] < 0.5
    assert sorted(path.name for path in Path("runs/infer").iterdir()) == ["a.png", "b.png"]


def test_suppression_of_given_boxes_on_request(capfd: pytest.CaptureFixture[str]) -> None:
    boxes = write_boxes({"image": "a.png", "bbox": BOX, "score": 0.5}, {"image": "a.png", "bbox": BOX})
    common = ("a.png", "--model", "lights.onnx", "--boxes", boxes, "--no-save", "--json", "-")
    for flags, count in ((("--nms", "oks"), 1), (("--nms", "none"), 2), (("--max-det", "1"), 1)):
        assert len(json.loads(infer(capfd, *common, *flags)[1])) == count
    soft = json.loads(infer(capfd, *common, "--nms", "oks_gaussian")[1])
    assert len(soft) == 2 and soft[1]["score"] < soft[0]["score"] / 2


def test_numbers_of_coco_come_back(capfd: pytest.CaptureFixture[str]) -> None:
    Path("a.png").rename("000000000139.png")
    boxes = write_boxes({"image_id": 139, "category_id": 1, "bbox": BOX, "score": 0.9})
    argv = ("000000000139.png", "--model", "lights.onnx", "--boxes", boxes, "--no-save", "--json", "-")
    (record,) = json.loads(infer(capfd, *argv)[1])
    assert (record["image_id"], record["category_id"]) == (139, 1)


def test_the_boxes_of_a_detector(color_model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The colour model finds the red quarter of a picture, and in it the pose network the brightest red."""
    image = np.zeros((128, 128, 3), np.uint8)
    image[:64, :64, 2] = 255
    cv2.imwrite("red.png", image)
    argv = ("red.png", "--model", str(color_model), "--pose-model", "lights.onnx", "--conf", "0.1", "--save-txt")
    code, out, err = infer(capfd, *argv)
    assert code == 0
    assert "red.png: 128x128, 1 found" in out and "of 3 keypoints" in out
    assert "pose model: lights.onnx" in err
    label, *numbers = Path("runs/infer/labels/red.txt").read_text().split()
    assert label == "0" and len(numbers) == 4 + 3 * 3


@pytest.mark.parametrize(
    "method", ["argmax", "quarter", "parabola", "paraboloid", "dark", "udp", "gaussfit", "integral"]
)
def test_every_way_to_read_heatmaps(method: str, capfd: pytest.CaptureFixture[str]) -> None:
    boxes = write_boxes({"image": "a.png", "bbox": BOX})
    argv = ("a.png", "--model", "lights.onnx", "--boxes", boxes, "--no-save", "--json", "-", "--decode", method)
    (record,) = json.loads(infer(capfd, *argv)[1])
    if method != "integral":  # which wants maps that were trained for it
        assert np.abs(keypoints(record)[:, :2] - PLACES).max() < 4


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (("--model", "lights.onnx"), 2, "lights needs boxes; give them with --boxes FILE"),
        (("--model", "lights.onnx", "--boxes", "none.json"), 3, "none.json: cannot be read"),
        (("--model", "lights.onnx", "--boxes", "other.json"), 3, "has no box for any of these pictures"),
        (("--model", "COLORS", "--boxes", "other.json"), 2, "--boxes is for a pose network"),
        (
            ("--model", "COLORS", "--decode", "dark"),
            2,
            "decode has no effect on outputs of the form 'dense'",
        ),
        (("--model", "COLORS", "--nms", "oks"), 2, "colors compares boxes; choose nms from hard, "),
        (
            ("--model", "lights.onnx", "--boxes", "other.json", "--nms", "hard"),
            2,
            "compares poses; choose nms from oks, ",
        ),
        (
            ("--model", "lights.onnx", "--boxes", "other.json", "--classes", "red"),
            2,
            "poses by OKS; leave out classes",
        ),
        (
            ("--model", "lights.onnx", "--boxes", "other.json", "--iou", "0.5"),
            2,
            "poses by OKS; leave out iou",
        ),
        (("--model", "lights.onnx", "--pose-model", "lights.onnx"), 2, "finds poses itself"),
        (("--model", "COLORS", "--pose-model", "COLORS"), 2, "not a top-down pose network"),
        (("--model", "COLORS", "--pose-model", "none.onnx"), 3, "no such model file"),
    ],
)
def test_what_does_not_go_together(
    argv: tuple[str, ...], code: int, message: str, color_model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("other.json").write_text(json.dumps([{"image": "other.png", "bbox": BOX}]))
    given = [str(color_model) if word == "COLORS" else word for word in argv]
    got, _, err = infer(capfd, "a.png", "--no-save", *given)
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert got == code and len(errors) == 1 and message in errors[0]


def test_load_gives_what_the_card_says(color_model: Path) -> None:
    assert isinstance(load(str(color_model)), Detector)
    assert isinstance(load("lights.onnx"), PoseEstimator)
    both = load(str(color_model), pose_model="lights.onnx", nms="oks_linear", decode="dark", flip=True, iou=0.3)
    assert isinstance(both, TopDown)
    assert both.estimator.card.suppress.kind == "oks_linear"
    assert both.detector.card.suppress.kind == "hard" and both.detector.card.suppress.iou == 0.3
    form = both.estimator.card.form
    assert (form.method, form.blur, form.flip) == ("dark", 11, True)  # type: ignore[attr-defined]
