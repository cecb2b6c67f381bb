"""Every kind of decoding that adoption attaches, compared with its formula for single points."""

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from foreign_files import write_foreign
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from detforge.deploy import load
from detforge.deploy.backends.ort import OrtBackend
from detforge.deploy.card import METADATA_KEY, Card
from detforge.deploy.system.errors import IncompatibleError, UsageError
from detforge.export import adopt
from detforge.export.adoption.graph import Attached
from detforge.export.comparison import RejectedError

HEIGHT, WIDTH = 64, 96
INPUT = """
about = "a test"
[input]
color = "bgr"
mean = [0, 0, 0]
std = [1, 1, 1]
[input.place]
kind = "resize"
size = [64, 96]
pad = { canvas = [64, 96] }
"""
ROWS = """
[form]
kind = "dense"
strides = []
[outputs]
rows = "*"
[decode]
split = ["box 4", "cls *"]
box = "{}"
"""
FORM = '[form]\nkind = "dense"\nstrides = [8, 16]\n'


def points() -> list[tuple[int, int, int]]:
    """The column, row and stride of every point, counted out."""
    return [(x, y, s) for s in (8, 16) for y in range(HEIGHT // s) for x in range(WIDTH // s)]


def run(path: Path, batch: int = 1) -> dict[str, NDArray[Any]]:
    """The outputs of an adopted file for empty images."""
    backend = OrtBackend(str(path))
    [port] = backend.inputs
    return backend.run({port.name: np.zeros((batch, 3, HEIGHT, WIDTH), np.dtype(port.dtype))})


def adopted(tmp_path: Path, toml: str, outputs: dict[str, NDArray[Any]], **foreign: Any) -> tuple[Card, Any]:
    path = write_foreign(tmp_path / "foreign.onnx", outputs, **foreign)
    (tmp_path / "card.toml").write_text(INPUT + toml, encoding="utf-8")
    made = adopt(path, card=tmp_path / "card.toml", output=tmp_path / "ours.onnx")
    metadata = OrtBackend(str(made.path)).metadata
    return Card.from_json(metadata[METADATA_KEY]), run(made.path)


def corners(x: float, y: float, w: float, h: float) -> list[float]:
    return [x - w / 2, y - h / 2, x + w / 2, y + h / 2]


def offset_exp(raw: list[float], x: int, y: int, s: int) -> list[float]:
    return corners((x + raw[0]) * s, (y + raw[1]) * s, math.exp(raw[2]) * s, math.exp(raw[3]) * s)


def distances(raw: list[float], x: int, y: int, s: int) -> list[float]:
    return [(x + 0.5 - raw[0]) * s, (y + 0.5 - raw[1]) * s, (x + 0.5 + raw[2]) * s, (y + 0.5 + raw[3]) * s]


def distances_px(raw: list[float], x: int, y: int, s: int) -> list[float]:
    return [x * s - raw[0], y * s - raw[1], x * s + raw[2], y * s + raw[3]]


def distribution(raw: list[float], x: int, y: int, s: int) -> list[float]:
    sides: list[float] = []
    for side in range(4):
        weights = [math.exp(value) for value in raw[8 * side : 8 * side + 8]]
        sides.append(sum(i * weight for i, weight in enumerate(weights)) / sum(weights))
    return distances(sides, x, y, s)


def priors(raw: list[float], x: int, y: int, s: int) -> list[float]:
    side = {8: 20.0, 16: 40.0}[s]
    cx, cy = (x + 0.5) * s + raw[0] * 0.1 * side, (y + 0.5) * s + raw[1] * 0.1 * side
    return corners(cx, cy, side * math.exp(raw[2] * 0.2), side * math.exp(raw[3] * 0.2))


CODES: list[tuple[str, Callable[[list[float], int, int, int], list[float]], str, int]] = [
    ("offset_exp", offset_exp, "", 4),
    ("distances", distances, "centre = 0.5", 4),
    ("distances_px", distances_px, "", 4),
    ("distribution", distribution, "centre = 0.5\nbins = 8", 32),
    ("priors", priors, "centre = 0.5\nsides = [[20.0], [40.0]]", 4),
]


@pytest.mark.parametrize(("box", "formula", "more", "width"), CODES, ids=[code[0] for code in CODES])
def test_boxes_follow_their_formula(
    box: str, formula: Callable[..., list[float]], more: str, width: int, tmp_path: Path
) -> None:
    random = np.random.default_rng(3)
    rows = random.uniform(0.1, 2, (1, len(points()), width)).astype(np.float32)
    scores = random.uniform(0, 1, (1, len(points()), 3)).astype(np.float32)
    toml = f'{FORM}[outputs]\nbox = "regression"\ncls = "scores"\n[decode]\nbox = "{box}"\n{more}\n'
    _, got = adopted(tmp_path, toml, {"regression": rows, "scores": scores})
    want = [formula(raw, *point) for raw, point in zip(rows[0].tolist(), points(), strict=True)]
    np.testing.assert_allclose(got["boxes"][0], want, rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(got["scores"], scores)


def write_pooled(path: Path) -> Path:
    """A file for images of any size and batch: each level's maps are mean colours, divided by 255."""
    nodes: list[Any] = [helper.make_node("Div", ["data", "whole"], ["part"])]
    infos: list[Any] = []
    for s in (16, 8):  # in another order than the strides
        nodes.append(helper.make_node("AveragePool", ["part"], [f"cls_{s}"], kernel_shape=[s, s], strides=[s, s]))
        nodes.append(helper.make_node("Concat", [f"cls_{s}", f"cls_{s}"], [f"six_{s}"], axis=1))
        nodes.append(helper.make_node("Slice", [f"six_{s}", "start", "end", "axis"], [f"box_{s}"]))
        for name, width in ((f"cls_{s}", 3), (f"box_{s}", 4)):
            infos.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width, None, None]))
    stored = [
        numpy_helper.from_array(np.array(255, np.float32), "whole"),
        *(numpy_helper.from_array(np.array([value]), name) for name, value in (("start", 1), ("end", 5), ("axis", 1))),
    ]
    image = helper.make_tensor_value_info("data", TensorProto.FLOAT, ["n", 3, "h", "w"])
    graph = helper.make_graph(nodes, "pooled", [image], infos, stored)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=7), str(path))
    return path


def test_images_of_any_size_and_batch(tmp_path: Path) -> None:
    path = write_pooled(tmp_path / "foreign.onnx")
    toml = INPUT.replace("size = [64, 96]\n", "").replace("canvas = [64, 96]", "multiple = 32") + FORM
    toml += '[outputs]\ncls = "cls_*"\nbox = "box_*"\n[decode]\nlayout = "maps"\nbox = "distances"\ncentre = 0.5\n'
    (tmp_path / "card.toml").write_text(toml, encoding="utf-8")
    made = adopt(path, card=tmp_path / "card.toml", output=tmp_path / "ours.onnx")
    images = np.random.default_rng(0).uniform(0, 255, (2, 3, 32, 64)).astype(np.float32)
    got = OrtBackend(str(made.path)).run({"data": images})
    for image, boxes, scores in zip(images, got["boxes"], got["scores"], strict=True):
        i = 0
        for s in (8, 16):
            for y in range(32 // s):
                for x in range(64 // s):
                    means = (image[:, y * s : (y + 1) * s, x * s : (x + 1) * s].mean((1, 2)) / 255).tolist()
                    np.testing.assert_allclose(scores[i], means, atol=1e-6)
                    np.testing.assert_allclose(boxes[i], distances([*means[1:], *means[:2]], x, y, s), atol=1e-4)
                    i += 1
        assert i == len(boxes)


@pytest.mark.parametrize("code", ["cxcywh", "xyxy"])
@pytest.mark.parametrize("relative", [False, True])
def test_boxes_in_px_and_relative_to_the_canvas(code: str, relative: bool, tmp_path: Path) -> None:
    rows = np.array([[[0.5, 0.25, 0.6, 0.5], [0.25, 0.5, 0.5, 0.75]]], np.float32)
    given = rows if relative else rows * np.array([WIDTH, HEIGHT] * 2, np.float32)
    toml = '[form]\nkind = "dense"\nstrides = []\n[outputs]\nrows = "*"\n'
    toml += f'[decode]\nlayout = "columns"\nsplit = ["box 4", "cls *"]\nbox = "{code}"\n'
    toml += f"relative = {str(relative).lower()}\n"
    whole = np.concatenate((given, np.full((1, 2, 2), 0.5, np.float32)), 2).swapaxes(1, 2)
    _, got = adopted(tmp_path, toml, {"out": np.ascontiguousarray(whole)})
    px = (rows[0] * [WIDTH, HEIGHT, WIDTH, HEIGHT]).tolist()
    want = px if code == "xyxy" else [corners(*row) for row in px]
    np.testing.assert_allclose(got["boxes"][0], want, atol=1e-4)


@pytest.mark.parametrize("scores", ["logits", "softmax"])
def test_scores_that_the_file_left_raw(scores: str, tmp_path: Path) -> None:
    raw = np.random.default_rng(1).normal(0, 2, (1, 6, 4)).astype(np.float32)
    boxes = np.tile(np.array([10, 10, 20, 20], np.float32), (1, 6, 1))
    toml = '[form]\nkind = "dense"\nstrides = []\n[outputs]\nbox = "b"\ncls = "c"\n'
    toml += f'[decode]\nbox = "xyxy"\nscores = "{scores}"\nbackground = 0\n'
    card, got = adopted(tmp_path, toml, {"b": boxes, "c": raw})
    want: list[list[float]] = []
    for row in raw[0].tolist():
        powers = [math.exp(value) for value in row]
        want.append([1 / (1 + math.exp(-v)) for v in row] if scores == "logits" else [p / sum(powers) for p in powers])
    np.testing.assert_allclose(got["scores"][0], want, atol=1e-6)
    assert card.labels == ("", "class_0", "class_1", "class_2")


@pytest.mark.parametrize("kind", ["dense", "graph"])
def test_classes_with_gaps(kind: str, tmp_path: Path) -> None:
    """Of six numbers, 0 is the background's and 3 and 4 no class's; they are not found, whatever their scores."""
    boxes = np.tile(np.array([10, 10, 40, 40], np.float32), (1, 6, 1))
    toml = f'[form]\nkind = "{kind}"\n'
    if kind == "dense":
        scores = np.full((1, 6, 6), 0.9, np.float32) * np.eye(6, dtype=np.float32)
        outputs: dict[str, Any] = {"b": boxes, "c": scores}
        toml += 'strides = []\ntop_k = 3\n[outputs]\nbox = "b"\ncls = "c"\n'
    else:
        outputs = {"b": boxes, "s": np.full((1, 6), 0.9, np.float32), "l": np.arange(6)[None]}
        toml += '[outputs]\nbox = "b"\nscore = "s"\nlabel = "l"\n'
    toml += '[decode]\nbox = "xyxy"\nbackground = 0\n[suppress]\nkind = "none"\n'
    card, _ = adopted(tmp_path, toml, outputs, metadata={"names": "{0: 'person', 1: 'bicycle', 4: 'car'}"})
    assert card.labels == ("", "person", "bicycle", "", "", "car")
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    found = load(str(tmp_path / "ours.onnx"))(image)
    assert sorted(found.names[label] for label in found.labels) == ["bicycle", "car", "person"]
    found = load(str(tmp_path / "ours.onnx"), classes=("car",))(image)
    assert found.labels.tolist() == [5]
    for name in ("", "dog"):
        with pytest.raises(UsageError, match="knows person, bicycle, car"):
            load(str(tmp_path / "ours.onnx"), classes=(name,))


def test_a_label_that_nobody_named_is_an_error(tmp_path: Path) -> None:
    boxes = np.tile(np.array([10, 10, 40, 40], np.float32), (1, 3, 1))
    outputs: dict[str, Any] = {"b": boxes, "s": np.array([[0.01, 0.01, 0.9]], np.float32), "l": np.array([[0, 7, 2]])}
    toml = '[form]\nkind = "graph"\n[outputs]\nbox = "b"\nscore = "s"\nlabel = "l"\n[decode]\nbox = "xyxy"\n'
    toml += '[suppress]\nkind = "none"\nconf = 0.95\n'
    with pytest.raises(IncompatibleError, match="the label 2, its Card has 2 labels, from 0"):
        adopted(tmp_path, toml, outputs, metadata={"names": "{0: 'cat', 1: 'dog'}"})
    assert not (tmp_path / "ours.onnx").exists()


def test_labels_in_metadata_may_have_gaps(tmp_path: Path) -> None:
    rows = np.ones((1, 4, 5), np.float32) * np.array([1, 1, 9, 9, 0.5], np.float32)
    card, _ = adopted(tmp_path, ROWS.format("xyxy"), {"out": rows}, metadata={"names": "{'a': 'cat'}"})
    assert card.labels == ("cat",)
    rows = np.ones((1, 4, 8), np.float32) * np.array([1, 1, 9, 9, 0.1, 0.2, 0.3, 0.5], np.float32)
    card, _ = adopted(tmp_path, ROWS.format("xyxy"), {"out": rows}, metadata={"names": "{3: 'dog', 1: 'cat'}"})
    assert card.labels == ("", "cat", "", "dog")


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize(
    "dtype", [TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT32], ids=["float", "uint8", "int32"]
)
def test_inputs_with_channels_last_and_of_whole_numbers(layout: str, dtype: int, tmp_path: Path) -> None:
    shape = (1, HEIGHT, WIDTH, 3) if layout == "nhwc" else (1, 3, HEIGHT, WIDTH)
    axes = [1, 2] if layout == "nhwc" else [2, 3]
    nodes = [
        helper.make_node("Cast", ["in"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["real"], ["means"], axes=axes, keepdims=0),
        helper.make_node("Div", ["means", "whole"], ["parts"]),
        helper.make_node("Reshape", ["parts", "rows"], ["c"]),
        helper.make_node("Identity", ["stored"], ["b"]),
    ]
    stored = [
        numpy_helper.from_array(np.array(255, np.float32), "whole"),
        numpy_helper.from_array(np.array([1, 1, 3]), "rows"),
        numpy_helper.from_array(np.array([[[1, 2, 30, 40]]], np.float32), "stored"),
    ]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("b", "c")]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("in", dtype, shape)], outputs, stored)
    path = tmp_path / "foreign.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=7), str(path))
    toml = f'input_layout = "{layout}"\n' + INPUT + '[form]\nkind = "dense"\nstrides = []\n'
    toml += '[outputs]\nbox = "b"\ncls = "c"\n[decode]\nbox = "xyxy"\n'
    (tmp_path / "card.toml").write_text(toml, encoding="utf-8")
    made = adopt(path, card=tmp_path / "card.toml", output=tmp_path / "ours.onnx")
    image = np.full((HEIGHT, WIDTH, 3), (10, 100, 200), np.uint8)
    found = load(str(made.path), conf=0.0)(image)
    np.testing.assert_allclose(sorted(found.scores.tolist()), np.array([10, 100, 200]) / 255, atol=1e-6)
    np.testing.assert_array_equal(found.boxes, [[1, 2, 30, 40]] * 3)


def test_further_inputs_are_constants(tmp_path: Path) -> None:
    rows = np.ones((1, 4, 5), np.float32) * np.array([1, 1, 9, 9, 0.5], np.float32)
    toml = ROWS.format("xyxy")
    path = write_foreign(tmp_path / "foreign.onnx", {"out": rows}, further={"scale_factor": 2, "im_shape": 2})
    (tmp_path / "card.toml").write_text(INPUT + toml, encoding="utf-8")
    with pytest.raises(UsageError, match="scale_factor has no value"):
        adopt(path, card=tmp_path / "card.toml", output=tmp_path / "ours.onnx")
    toml += '[constants]\nscale_factor = [1, 1]\nim_shape = "hw"\n'
    (tmp_path / "card.toml").write_text(INPUT + toml, encoding="utf-8")
    made = adopt(path, card=tmp_path / "card.toml", output=tmp_path / "ours.onnx")
    np.testing.assert_array_equal(run(made.path)["boxes"][0], rows[0, :, :4])


def test_the_card_says_where_the_file_comes_from(tmp_path: Path) -> None:
    rows = np.ones((1, 4, 5), np.float32) * np.array([1, 1, 9, 9, 0.5], np.float32)
    toml = ROWS.format("xyxy")
    card, _ = adopted(tmp_path, toml, {"out": rows}, metadata={"names": "{0: 'cat'}"})
    origin = card.provenance
    assert (origin.checkpoint, origin.adopted_as) == ("foreign.onnx", "card.toml")
    assert origin.sha256 == hashlib.sha256((tmp_path / "foreign.onnx").read_bytes()).hexdigest()
    assert "NumPy" in origin.verified_against and origin.parity is not None
    assert card.labels == ("cat",)


def test_a_wrong_decoding_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.ones((1, 4, 5), np.float32) * np.array([1, 1, 9, 9, 0.5], np.float32)
    toml = ROWS.format("cxcywh")
    monkeypatch.setattr(Attached, "_around", lambda self, centre, size: self._nodes("Concat", centre, size, axis=2))
    with pytest.raises(RejectedError, match="disagrees with the adopted file, decoded by NumPy"):
        adopted(tmp_path, toml, {"out": rows})
    assert (tmp_path / "ours.rejected.onnx").exists() and not (tmp_path / "ours.onnx").exists()
