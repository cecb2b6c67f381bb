"""libdetforge gives the detections of load(), to the last bit, and one line for what it cannot run."""

import ctypes.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from c_library import PREFIX, RUNTIME, Library
from cards import CARD, CROPS
from onnx import TensorProto, helper, numpy_helper

from detforge.deploy import load
from detforge.deploy.card import METADATA_KEY
from detforge.deploy.contract.fusion import Fusion
from detforge.deploy.contract.skeleton import Skeleton
from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.forms import Dense, Form, Graph, Peaks
from detforge.deploy.inputs.network_inputs import SizeInput
from detforge.deploy.inputs.resize import Pad, Resize

ROOT = Path(__file__).parents[2]
MARKERS = ROOT / "deploy/bundled/gfl_markers.onnx"
PHOTOS = sorted((ROOT / "examples/photos").glob("*.jpg"))
CANVAS = (64, 96)
POINTS = 8 * 12 + 4 * 6 + 2 * 3
POSE = Skeleton(("nose", "tail"), ((0, 1),), (), (0.1, 0.1))

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="the C library is not built for Windows"),
    pytest.mark.skipif(RUNTIME is None, reason="this onnxruntime has no library for C"),
]


@pytest.fixture(scope="module")
def library() -> Library:
    return Library(next((PREFIX / "lib").glob("libdetforge.*")))


@pytest.fixture
def opened(library: Library) -> Iterator[Any]:
    detectors = []

    def open_file(path: Path | str, **options: Any) -> int:
        detectors.append(library.open(path, **options))
        return detectors[-1]

    yield open_file
    for detector in detectors:
        library.close(detector)


def assert_same(library: Library, detector: int, path: Path, images: list[np.ndarray]) -> int:
    """Compare with Python on images in RGB; the number of detections."""
    expected = load(path, backend="ort", threads=2)([np.ascontiguousarray(image[..., ::-1]) for image in images])
    for own, python in zip(library.detect(detector, images), expected, strict=True):
        assert np.array_equal(own.boxes, python.boxes)
        assert np.array_equal(own.scores, python.scores)
        assert np.array_equal(own.labels, python.labels)
        if python.keypoints is not None:
            assert np.array_equal(own.keypoints.reshape(python.keypoints.shape), python.keypoints)
    return sum(map(len, expected))


def photos() -> list[np.ndarray]:
    return [np.ascontiguousarray(cv2.imread(str(path))[..., ::-1]) for path in PHOTOS]


def test_markers_are_found_as_in_python(library: Library, opened: Any) -> None:
    detector = opened(MARKERS)
    images = photos()
    wide = np.zeros((images[0].shape[0], images[0].shape[1] + 5, 3), np.uint8)
    wide[:, :-5] = images[0]  # rows that do not follow each other
    assert assert_same(library, detector, MARKERS, [*images, wide[:, :-5]]) > 20
    assert [library.label(detector, i) for i in range(4)] == ["qr_code", "barcode", "aruco", "chessboard"]


def random_outputs(rng: np.random.Generator, rows: int, labels: int, final: bool) -> dict[str, np.ndarray]:
    """Overlapping boxes on the canvas and beyond, some values not finite."""
    corners = rng.uniform(-10, 90, (1, rows, 2))
    boxes = np.concatenate((corners, corners + rng.uniform(-2, 40, (1, rows, 2))), -1).astype(np.float32)
    boxes[0, :3, 0] = np.nan, np.inf, 5
    outputs = {"boxes": boxes, "keypoints": rng.uniform(0, 64, (1, rows, 4)).astype(np.float32)}
    if final:
        outputs["scores"] = rng.random((1, rows), np.float32)
        outputs["labels"] = rng.integers(0, labels, (1, rows))
        return outputs | {"num": np.array([rows - 9])}
    scores = rng.random((1, rows, labels), np.float32) ** 2
    scores[0, 5, 0] = np.nan
    return outputs | {"scores": scores, "quality": rng.random((1, rows), np.float32)}


DENSE = Dense((8, 16, 32), top_k=40)
FUSED = Fusion(0.6, 0.4, "fused", "fused")
CASES: dict[str, tuple[Form, dict[str, Any]]] = {
    "dense": (DENSE, {}),
    "fused": (replace(DENSE, clip="canvas"), {"fusion": FUSED}),
    "points": (replace(DENSE, unit="points", clip="last_pixel"), {"suppress": Suppress(inclusive=True, iou=0.3)}),
    "best": (replace(DENSE, unit="best", levels_together=True), {"suppress": Suppress(class_agnostic=True)}),
    "one level": (Dense((), clip="none"), {"suppress": Suppress("linear", 0.1), "fusion": Fusion(0.5, 0.5)}),
    "gaussian": (DENSE, {"suppress": Suppress("gaussian", 0.1, floor=0.01, max_det=30)}),
    "guided": (DENSE, {"suppress": Suppress("guided", 0.1)}),
    "clips": (replace(DENSE, clip="none"), {"suppress": Suppress(clips=True, max_det=1000)}),
    "poses": (DENSE, {"skeleton": POSE}),
    "no label": (DENSE, {"labels": ("", "a", "", "b")}),
    "graph": (Graph("canvas"), {"skeleton": POSE, "suppress": Suppress("none")}),
    "peaks": (Peaks(), {"suppress": Suppress("none", 0.1)}),
}
PLACES = [
    Resize(CANVAS, pad=Pad(CANVAS, centered=True, value=114.0), inverse="factor", rounding="floor"),
    Resize(CANVAS, keep_aspect=False, filter="antialias"),
    Resize((48, 96), "edges", pad=Pad(CANVAS), inverse="height"),
]


def write_network(path: Path, card: str, outputs: dict[str, np.ndarray], pixels: bool = False) -> Path:
    """A file with stored outputs whatever the image, or with `pixels` whose boxes are the values of its canvas."""
    nodes, stored, infos = [], [], []
    for name, values in outputs.items():
        stored.append(numpy_helper.from_array(values, f"stored_{name}"))
        of_canvas = pixels and name == "boxes"
        from_, given = ("Reshape", ["image", "rows"]) if of_canvas else ("Identity", [f"stored_{name}"])
        nodes.append(helper.make_node(from_, given, [name]))
        infos.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(values.dtype), values.shape))
    stored.append(numpy_helper.from_array(np.array([1, -1, 4]), "rows"))
    inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, *CANVAS])]
    if "image_size" in card:
        inputs.append(helper.make_tensor_value_info("image_size", TensorProto.FLOAT, [1, 2]))
    graph = helper.make_graph(nodes, "network", inputs, infos, stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    model.metadata_props.add(key=METADATA_KEY, value=card)
    onnx.save(model, str(path))
    return path


@pytest.mark.filterwarnings("ignore:.*NaN or infinite")
@pytest.mark.parametrize("name", CASES)
def test_every_rule_is_that_of_python(name: str, library: Library, opened: Any, tmp_path: Path) -> None:
    form, fields = CASES[name]
    rng = np.random.default_rng(len(name))
    fields = {"labels": ("a", "b", "c"), **fields}
    place = PLACES[len(name) % len(PLACES)]
    inputs = (replace(CARD.input, place=place), SizeInput())
    card = replace(CARD, form=form, ops=(), inputs=inputs[: 1 + len(name) % 2], **fields)
    outputs = random_outputs(rng, POINTS, len(card.labels), not isinstance(form, Dense))
    path = write_network(tmp_path / "case.onnx", card.to_json(), outputs)
    images = [rng.integers(0, 256, (*size, 3), np.uint8) for size in ((64, 96), (50, 47), (3, 200))]
    assert assert_same(library, opened(path), path, images) > 5


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_pixels_are_those_of_python(place: Resize, library: Library, opened: Any, tmp_path: Path) -> None:
    rule = Suppress("none", conf=0.0, inclusive=True, max_det=9999)
    inputs = (replace(CARD.input, place=place),)
    card = replace(CARD, inputs=inputs, form=Dense((), clip="none", top_k=9999), ops=(), labels=("a",), suppress=rule)
    rows = 3 * CANVAS[0] * CANVAS[1] // 4
    outputs = {"boxes": np.zeros((1, rows, 4), np.float32), "scores": np.ones((1, rows, 1), np.float32)}
    path = write_network(tmp_path / "pixels.onnx", card.to_json(), outputs, pixels=True)
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (*size, 3), np.uint8) for size in ((64, 96), (31, 33), (200, 170))]
    assert assert_same(library, opened(path), path, images) > 100


def test_what_it_cannot_run_is_refused_in_one_line(library: Library, opened: Any, tmp_path: Path) -> None:
    outputs = random_outputs(np.random.default_rng(0), POINTS, 2, final=False)

    def refusal(text: str) -> str:
        path = write_network(tmp_path / "a.onnx", text, outputs)
        with pytest.raises(RuntimeError) as error:
            library.open(path)
        assert "\n" not in str(error.value) and "a.onnx" in str(error.value)
        return str(error.value)

    def changed(part: str, **fields: Any) -> str:
        card = json.loads(replace(CARD, ops=()).to_json())
        (card[part] if part else card).update(fields)
        return json.dumps(card)

    assert "'form.kind' 'heatmap'" in refusal(CROPS.to_json())
    assert "'suppress.voting'" in refusal(changed("suppress", voting=True))
    assert "'form.extra' is not a field that this version knows" in refusal(changed("form", extra=1))
    assert "'form.top_k' is not" in refusal(changed("form", top_k=0))
    assert "'suppress.iou' is not" in refusal(changed("suppress", iou="0.5"))
    assert "newer" in refusal(changed("", schema=9))
    assert "not JSON" in refusal("[" * 100_000)
    assert "holds no Card" in refusal("")
    labels = json.dumps(json.loads(replace(CARD, ops=(), labels=("a", "b")).to_json()))
    assert "not a field" in refusal(labels.replace('"rounding"', '"roundings"'))
    outputs["scores"] = np.ones((1, POINTS, 2), np.int64)
    path = write_network(
        tmp_path / "whole.onnx",
        replace(CARD, form=DENSE, ops=(), inputs=(replace(CARD.input, place=PLACES[1]),)).to_json(),
        outputs,
    )
    with pytest.raises(RuntimeError, match="scores in whole numbers"):
        library.detect(opened(path), [np.zeros((9, 9, 3), np.uint8)])
    for path in (tmp_path / "absent.onnx", ROOT / "README.md"):
        with pytest.raises(RuntimeError, match=r"can open; .*; export one with detexport"):
            library.open(path)


def test_wrong_calls_are_refused(library: Library, opened: Any) -> None:
    detector = opened(MARKERS)
    with pytest.raises(RuntimeError, match="no pixels"):
        library.detect(detector, [np.zeros((4, 4, 3), np.uint8)[:0]])
    with pytest.raises(RuntimeError, match="none given"):
        library.detect(detector, [])
    with pytest.raises(RuntimeError, match="none of this number"):
        library.label(detector, 4)
    with pytest.raises(RuntimeError, match="ONNX Runtime cannot be loaded"):
        library.open(MARKERS, runtime="/absent/libonnxruntime.so")
    with pytest.raises(RuntimeError, match="another ONNX Runtime"):
        library.open(MARKERS, runtime=ctypes.util.find_library("m"))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cmake") is None or shutil.which("cc") is None, reason="needs CMake and a C compiler")
def test_the_example_is_built_and_finds_the_same(tmp_path: Path) -> None:
    source = ["-S", str(ROOT / "examples/c"), "-B", str(tmp_path / "build"), f"-DCMAKE_PREFIX_PATH={PREFIX}"]
    subprocess.run(["cmake", *source], check=True, capture_output=True)
    subprocess.run(["cmake", "--build", str(tmp_path / "build")], check=True, capture_output=True)
    lines = []
    found = load(MARKERS, backend="ort")([cv2.imread(str(path)) for path in PHOTOS])
    for path, one in zip(PHOTOS, found, strict=True):
        cv2.imwrite(str(tmp_path / f"{path.stem}.ppm"), cv2.imread(str(path)))
        for label, score, box in zip(one.labels, one.scores, one.boxes, strict=True):
            lines.append((one.names[label], *np.float32([score, *box]).tolist()))
    command = [str(tmp_path / "build/detect"), str(MARKERS), *(str(tmp_path / f"{path.stem}.ppm") for path in PHOTOS)]
    environment = os.environ | {"DETFORGE_ONNXRUNTIME": str(RUNTIME)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    printed = [line.split() for line in done.stdout.splitlines()]
    assert [(name, *(float(np.float32(value)) for value in values)) for name, *values in printed] == lines
