"""Text that a network reads: the form's strings and polygons, and the column in every output."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from found import candidates_in
from golden.reader import load_ops
from onnx import TensorProto, helper, numpy_helper

from detforge.deploy.card import METADATA_KEY, Card, Provenance
from detforge.deploy.columns.text import Text
from detforge.deploy.contract.parse import FieldError
from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.detinfer.cli import main
from detforge.deploy.forms import Spotted
from detforge.deploy.forms.spotted import outlines
from detforge.deploy.inputs.network_inputs import ImageInput
from detforge.deploy.inputs.resize import Pad, Resize
from detforge.models.zoo import find

CASES = {case["name"]: case for case in load_ops("spotted_text")}
CARD = Card(
    model="lines",
    inputs=(ImageInput(Resize(pad=Pad(multiple=32)), "bgr", (0.0,) * 3, (255.0,) * 3),),
    form=Spotted("ABC \N{GREEK SMALL LETTER OMEGA}"),
    labels=("text",),
    provenance=Provenance("none", None, "fp32"),
    suppress=Suppress(conf=0.3, iou=0.5),
)
UPPER = np.array([[10, 20], [40, 10], [70, 10], [100, 20]])
PLANTED = {
    "num": np.array(2, np.int64),
    "boxes": np.array([[10, 10, 100, 50], [10, 60, 90, 80], [0, 0, 9, 9]], np.float32),
    "scores": np.array([0.9, 0.2, 0.8], np.float32),
    "curves": np.stack([np.concatenate((UPPER, UPPER[::-1] + np.array([0, 30]))).ravel()] * 3).astype(np.float32),
    "symbols": np.array([[1, 5, 0, 3, 4, -1]] * 3, np.int64),
    "symbol_scores": np.array([[0.9, 0.1, 0.8, 0.7, 0.6, 0.2]] * 3, np.float32),
}


def found_in(outputs: dict[str, np.ndarray], card: Card = CARD):
    return candidates_in(outputs, card, card.input.place.whole((96, 128)))


def test_curves_become_the_polygons_of_the_authors() -> None:
    case = CASES["bezier_to_poly"]
    np.testing.assert_allclose(outlines(case["in"]["beziers"].reshape(-1, 8, 2)), case["out"]["polygons"], atol=1e-4)


def test_symbols_become_the_text_of_the_authors() -> None:
    case, form = CASES["decode_text"], find("abcnet").form
    for symbols, codes in zip(case["in"]["recs"], case["out"]["codepoints"], strict=True):
        text, _ = form._line(symbols, np.ones(len(symbols), np.float32))
        assert text == "".join(map(chr, codes[codes > 0]))


def test_rows_above_the_threshold_are_read() -> None:
    found = found_in(PLANTED)
    assert found.text.tolist() == ["BA \N{GREEK SMALL LETTER OMEGA}"] and found.scores.tolist() == [np.float32(0.9)]
    assert found.columns["text"].scores.tolist() == [pytest.approx(0.75)]
    [polygon] = found.polygons
    np.testing.assert_allclose(polygon[[0, 19, 20, 39]], [[10, 20], [100, 20], [100, 50], [10, 50]], atol=1e-4)
    outside = found_in({**PLANTED, "curves": PLANTED["curves"] + np.array([50, 0] * 8, np.float32)})
    np.testing.assert_allclose(outside.polygons[0][[19, 20]], [[128, 20], [128, 50]], atol=1e-4)
    all_of_it = found_in(PLANTED, replace(CARD, suppress=replace(CARD.suppress, conf=0.0)))
    assert len(all_of_it) == 2
    nothing = found_in({**PLANTED, "num": np.array(0, np.int64)})
    assert len(nothing) == len(nothing.text) == 0 and nothing.to_coco() == []


def test_nothing_written_is_an_empty_text_of_score_0() -> None:
    found = found_in({**PLANTED, "symbols": np.full((3, 6), 5)})
    assert found.text.tolist() == [""] and found.columns["text"].scores.tolist() == [0.0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_hostile_outputs(value: float) -> None:
    spoilt = {name: np.full_like(PLANTED[name], value) for name in ("boxes", "scores", "curves", "symbol_scores")}
    for name, values in spoilt.items():
        with np.errstate(all="ignore"):
            found = found_in({**PLANTED, name: values})
        assert len(found.text) == len(found.polygons) == len(found) <= 2
    far = found_in({**PLANTED, "symbols": np.full((3, 6), np.iinfo(np.int64).min)})
    assert far.text.tolist() == [""]


@pytest.mark.parametrize("alphabet", ["", "a\nb", "a\x1bb"])
def test_an_alphabet_is_of_printable_characters(alphabet: str) -> None:
    with pytest.raises(FieldError, match=r"form\.alphabet"):
        Spotted(alphabet)


def test_columns_select_and_join() -> None:
    text = Text.of(["a", "", "b c"], [0.5, 0.0, 1.0])
    both = Text.joined([text[np.array([2, 0])], text[1:]])
    assert both.values.tolist() == ["b c", "a", "", "b c"] and both.scores.tolist() == [1.0, 0.5, 0.0, 1.0]
    assert text.texts((10, 10)) == [' "a"', ' ""', ' "b c"'] and text.captions() == ["a ", "", "b c "]


def write_model(path: Path) -> Path:
    """The planted outputs for every image."""
    nodes, outputs = [], []
    for name, value in PLANTED.items():
        row = value[None]
        nodes.append(helper.make_node("Constant", [], [name], value=numpy_helper.from_array(row)))
        outputs.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(row.dtype), row.shape))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "h", "w"])
    graph = helper.make_graph(nodes, "lines", [image], outputs)
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
    helper.set_model_props(model, {METADATA_KEY: CARD.to_json()})
    onnx.save(model, path)
    return path


def test_text_is_written_and_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd) -> None:
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("page.png", np.zeros((96, 128, 3), np.uint8))
    model = write_model(Path("lines.onnx"))
    flags = ["--json", "found.json", "--save-icdar", "--save-txt"]
    assert main(["page.png", "--model", str(model), *flags]) == 0
    [record] = json.loads(Path("found.json").read_text(encoding="utf-8"))
    written = "BA \N{GREEK SMALL LETTER OMEGA}"
    assert record["text"] == written and record["text_score"] == pytest.approx(0.75)
    [line] = Path("runs/infer/icdar/res_page.txt").read_text(encoding="utf-8").splitlines()
    *sides, text = line.split(",")
    assert text == written and sides == [str(round(side)) for side in record["segmentation"][0]]
    assert Path("runs/infer/labels/page.txt").read_text(encoding="utf-8").endswith(f' "{written}"\n')
    assert f'"{written}" 0.75' in "".join(capfd.readouterr())
    drawn = cv2.imread("runs/infer/page.png")
    for x, y in record_points(record):
        assert drawn[y, x].any()


def record_points(record: dict) -> np.ndarray:
    """The corners of a record's polygon that no caption may cover: those of the lower side."""
    return np.rint(np.array(record["segmentation"][0]).reshape(-1, 2)).astype(int)[20:]
