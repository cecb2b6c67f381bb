"""Text detection on the command line: bright bars in generated pictures, found by a network by hand."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from detforge.deploy.card import METADATA_KEY, Card, Provenance
from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.detinfer.cli import main
from detforge.deploy.forms import Dilated, Form, Grown
from detforge.deploy.inputs.network_inputs import ImageInput
from detforge.deploy.inputs.resize import Pad, Resize
from detforge.deploy.suppress.polygons import iou

CARD = Card(
    model="bars",
    inputs=(ImageInput(Resize(pad=Pad(multiple=32)), "bgr", (0.0,) * 3, (255.0,) * 3),),
    form=Grown(),
    labels=("text",),
    provenance=Provenance("none", None, "fp32"),
    suppress=Suppress("polygons", conf=0.3, iou=0.5),
)
BARS = (((150, 100), (180, 24), 30.0), ((150, 260), (200, 20), -20.0), ((420, 180), (24, 220), 5.0))
"""Centres, sizes and angles of lines of text, in px and degrees."""


def corners(bar: tuple) -> np.ndarray:
    return cv2.boxPoints(bar)


def write_model(path: Path, form: Form) -> Path:
    """The mean colour of every 4 x 4 px of the image as its map."""
    nodes = [
        helper.make_node("AveragePool", ["image"], ["cells"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("ReduceMean", ["cells", "channel"], ["map"], keepdims=1),
    ]
    size = ["n", 3, "h", "w"]
    graph = helper.make_graph(
        nodes,
        "bars",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, size)],
        [helper.make_tensor_value_info("map", TensorProto.FLOAT, ["n", 1, "mh", "mw"])],
        [helper.make_tensor("channel", TensorProto.INT64, [1], [1])],
    )
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
    helper.set_model_props(model, {METADATA_KEY: replace(CARD, form=form).to_json()})
    onnx.save(model, path)
    return path


@pytest.fixture(autouse=True)
def picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """`page.png`, 560 x 320 px: white bars on black."""
    monkeypatch.chdir(tmp_path)
    image = np.zeros((320, 560, 3), np.uint8)
    for bar in BARS:
        cv2.fillPoly(image, [np.rint(corners(bar)).astype(np.int32)], (255, 255, 255))
    cv2.imwrite("page.png", image)
    return image


@pytest.mark.parametrize("tile", [None, 256])
def test_bars_are_found_once_and_written(tile: int | None, picture: np.ndarray, capfd) -> None:
    model = write_model(Path("bars.onnx"), Grown())
    tiles = [] if tile is None else ["--tile", str(tile), "--overlap", "0.5"]
    flags = ["--json", "found.json", "--save-icdar", "--save-txt", *tiles]
    assert main(["page.png", "--model", str(model), *flags]) == 0
    records = json.loads(Path("found.json").read_text())
    lines = Path("runs/infer/icdar/res_page.txt").read_text().splitlines()
    assert len(records) == len(lines) == len(BARS)
    for record, line in zip(records, lines, strict=True):
        polygon = np.array(record["segmentation"]).reshape(-1, 2)
        overlaps = iou([polygon, *map(corners, BARS)])[0, 1:]
        assert overlaps.max() > 0.75  # of cells of 4 px, whose outer half is cut off
        assert line == ",".join(str(round(value)) for value in record["segmentation"][0])
    # The outlines are drawn; nothing else is.
    drawn = cv2.imread("runs/infer/page.png")
    changed = (drawn != picture).any(2)
    for record in records:
        outline = np.zeros(changed.shape, np.uint8)
        points = np.rint(np.array(record["segmentation"]).reshape(1, -1, 2)).astype(np.int32)
        cv2.polylines(outline, list(points), True, 1, 1)
        assert changed[outline > 0].mean() > 0.95


def test_another_suppression_by_the_flag(capfd) -> None:
    model = write_model(Path("bars.onnx"), Dilated())
    assert main(["page.png", "--model", str(model), "--no-save", "--nms", "hard", "--json", "found.json"]) == 0
    assert len(json.loads(Path("found.json").read_text())) == len(BARS)
    assert main(["page.png", "--model", str(model), "--no-save", "--nms", "locality"]) == 2
    assert "choose nms from polygons, hard" in capfd.readouterr().err


def test_boxes_are_written_as_four_corners(color_model: Path) -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[:32, :32] = 0, 0, 255
    Path("folder/deep").mkdir(parents=True)
    cv2.imwrite("folder/deep/a.png", image)
    assert main(["folder", "--recursive", "--model", str(color_model), "--no-save", "--save-icdar"]) == 0
    assert Path("runs/infer/icdar/deep/res_a.txt").read_text() == "0,0,32,0,32,32,0,32\n"
