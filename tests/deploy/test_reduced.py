"""detinfer --reduced: fewer pixels are decoded, boxes stay in px of the file. OpenCV plays simplejpeg."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import COLOR_CARD
from test_cli_infer import infer_json, red_and_blue

from detforge.deploy.columns.keypoints import Keypoints
from detforge.deploy.contract.skeleton import Skeleton
from detforge.deploy.detinfer import cli
from detforge.deploy.inputs import image
from detforge.deploy.results.instances import Instances

FLAGS = {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4}


class Decoder:
    """What `image` uses of the module simplejpeg."""

    def __init__(self) -> None:
        self.parts: list[int] = []

    def decode_jpeg_header(self, data: bytes) -> tuple[int, int, str, str]:
        height, width, _ = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape
        return height, width, "YCbCr", "420"

    def decode_jpeg(self, data: bytes, colorspace: str, min_factor: int, **_: int) -> np.ndarray:
        self.parts.append(min_factor)
        return cv2.imdecode(np.frombuffer(data, np.uint8), FLAGS[min_factor])


@pytest.fixture
def decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Decoder:
    """At work in an empty folder that has a picture of 256 px, which the network sees at 64."""
    made = Decoder()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(image, "_jpeg_decoder", lambda: made)
    cv2.imwrite("a.jpg", red_and_blue().repeat(2, 0).repeat(2, 1))
    return made


def test_boxes_are_in_px_of_the_file(decoder: Decoder, color_model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = infer_json(capfd, "a.jpg", "--model", str(color_model), "--no-save")
    reduced = infer_json(capfd, "a.jpg", "--model", str(color_model), "--no-save", "--reduced")
    assert decoder.parts == [1, 4]
    assert [record["bbox"] for record in whole] == [[0, 0, 128, 128], [128, 128, 128, 128]]
    for one, other in zip(whole, reduced, strict=True):
        assert other.pop("score") == pytest.approx(one.pop("score"), abs=0.02)
        assert other == one


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "use it with --no-save"),
        (["--no-save", "--save-crops"], "without --save-crops"),
        (["--no-save", "--tile", "64"], "leave out one of --reduced and --tile"),
    ],
)
def test_what_needs_every_pixel_is_refused(
    flags: list[str], message: str, decoder: Decoder, color_model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["a.jpg", "--model", str(color_model), "--reduced", *flags]) == 2
    assert message in capfd.readouterr().err


def test_poses_are_scaled_with_their_boxes() -> None:
    boxes, keypoints = np.array([[1, 2, 3, 4]], np.float32), np.array([[[1, 2, 0.5]]], np.float32)
    skeleton = Skeleton(("nose",), (), (), (0.1,))
    column = Keypoints(keypoints, skeleton, np.ones(1, np.float32))
    found = Instances(boxes, np.ones(1, np.float32), np.zeros(1, np.int64), ("x",), (10, 20)).with_columns(column)
    found = found.scaled((30, 40))
    assert (found.boxes.tolist(), found.image_size) == ([[3, 4, 9, 8]], (30, 40))
    assert found.keypoints is not None and found.keypoints.tolist() == [[[3, 4, 0.5]]]


def test_json_of_many_pictures_is_one_document(color_model: Path, decoder: Decoder) -> None:
    for i in range(20):
        Path(f"b{i:02}.jpg").write_bytes(Path("a.jpg").read_bytes())
    assert cli.main(["b*.jpg", "--model", str(color_model), "--no-save", "--json", "all.json", "--batch", "3"]) == 0
    records = json.loads(Path("all.json").read_text())
    assert [record["image"] for record in records] == [f"b{i:02}.jpg" for i in range(20) for _ in range(2)]
    assert cli.main(["b*.jpg", "--model", str(color_model), "--no-save", "--json", "none.json", "--conf", "1"]) == 0
    assert Path("none.json").read_text() == "[]\n"
    assert COLOR_CARD.labels[records[0]["label"]] == "red"
