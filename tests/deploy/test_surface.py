"""CDPN's crops and poses against its authors' numbers."""

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from cards import CARD
from golden.reader import load_ops, picture, positions

from detforge.deploy.contract.camera import Camera
from detforge.deploy.contract.solid import Solid
from detforge.deploy.forms import Surface
from detforge.deploy.inputs.geometry import Normalization
from detforge.deploy.inputs.zoom import Zoom, ZoomedFrame
from detforge.deploy.system.errors import IncompatibleError

CASES = load_ops("surface")
PLAIN = Normalization("bgr", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


@pytest.mark.parametrize("case", [case for case in CASES if "zoom" in case["name"]], ids=lambda case: case["name"])
def test_the_authors_crop(case: dict[str, Any]) -> None:
    image = (picture(120, 160, 0).transpose(1, 2, 0) * 40 + 128).clip(0, 255).astype(np.uint8)
    (x, y), side = case["args"]["center_xy"], case["args"]["size"]
    box = np.array([x - side / 2, y - side / 2, x + side / 2, y + side / 2])
    # The side is limited to the image's by whoever calls the authors' function.
    frame = Zoom((64, 64)).of_box(box, (max(120, side), max(160, side)))
    frame = replace(frame, image_size=(120, 160))
    if side < 120:
        np.testing.assert_array_equal(frame.centre, case["out"]["center_wh"])
    assert frame.size == (case["out"]["size"],) * 2
    canvas = np.empty((3, 64, 64), np.float32)
    frame.fill(canvas, image, PLAIN, 1)
    key = case["args"]["sample"].split('"')[1]
    np.testing.assert_allclose(
        canvas.transpose(1, 2, 0).ravel()[positions(key, canvas.size, 1500)], case["out"]["crop"], atol=1e-3
    )


@pytest.mark.parametrize("case", [case for case in CASES if "decode" in case["name"]], ids=lambda case: case["name"])
def test_the_authors_pose(case: dict[str, Any]) -> None:
    args = case["args"]
    x, y, width, height = args["box_xywh"]
    camera = Camera.of(args["K"])
    frame = Zoom((256, 256), enlarge=(1.5, 1.5)).of_box(np.array([x, y, x + width, y + height]), (480, 640))
    assert (frame.centre, frame.size[0]) == (tuple(args["crop_center"]), args["crop_size"])
    low = tuple(args["min_xyz"])
    form = Surface(Solid(low, tuple(-value for value in low)))
    outputs = {"surface": case["in"]["rot"][None].astype(np.float32), "translation": case["in"]["trans"][None]}
    card = replace(CARD, form=Surface(), inputs=(replace(CARD.input, place=Zoom((256, 256))),))
    reading = form.read(outputs, None, [replace(frame, camera=camera)], card)
    [pose] = reading.columns[0].values
    assert reading.quality.tolist() == [1.0]
    expected = case["out"]["pose_final"]
    turn = cv2.Rodrigues(pose[:, :3].T @ expected[:, :3])[0]
    assert np.degrees(np.linalg.norm(turn)) < 0.3
    np.testing.assert_allclose(pose[:, 3], expected[:, 3], atol=1e-3)
    with pytest.raises(IncompatibleError, match="its Card has no object"):
        Surface().read(outputs, None, [replace(frame, camera=camera)], card)
    assert form.read(outputs, None, [frame], card).columns == ()


def test_outputs_that_show_nothing() -> None:
    frame = Zoom((64, 64)).of_box(np.array([10, 10, 50, 40]), (100, 100))
    frame = replace(frame, camera=Camera(100.0, 100.0, 50.0, 50.0))
    form = Surface(Solid((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0)))
    for value in (0.0, np.float32(3e38)):
        outputs = {"surface": np.full((1, 4, 16, 16), value, np.float32), "translation": np.zeros((1, 3), np.float32)}
        reading = form.read(outputs, None, [frame], CARD)
        assert np.isnan(reading.columns[0].values).all()
        assert reading.quality.tolist() == [0.0]


@pytest.mark.parametrize("box", [(-500, -500, -400, -400), (300, 300, 400, 400), (0, 0, 0, 0), (-50, 20, 250, 60)])
def test_boxes_that_leave_the_image(box: tuple[int, ...]) -> None:
    image = np.full((100, 200, 3), 90, np.uint8)
    frame = Zoom((32, 32), enlarge=(1.5, 1.5)).of_box(np.array(box, np.float32), (100, 200))
    assert isinstance(frame, ZoomedFrame)
    canvas = np.empty((3, 32, 32), np.float32)
    frame.fill(canvas, image, PLAIN, 1)
    assert canvas.min() >= 0
    assert canvas.max() <= 90
    assert (canvas.max() > 0) == (box[0] > -100 and box[0] < 200)
