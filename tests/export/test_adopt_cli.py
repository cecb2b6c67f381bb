"""detexport adopt as a user types it, and files that cannot be adopted."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from foreign_files import write_foreign
from onnx import TensorProto, helper

from detforge.export.cli import main

ROWS = np.full((1, 189, 7), 0.5, np.float32)
"""What YOLOX gives for an image of 96x96 px: 144, 36 and 9 points."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_foreign(tmp_path / "good.onnx", {"output": ROWS}, shape=(1, 3, 96, 96))
    write_foreign(tmp_path / "large.onnx", {"output": ROWS * 9}, shape=(1, 3, 96, 96))
    write_foreign(tmp_path / "wide.onnx", {"output": ROWS}, shape=(1, 3, 96, 128))
    write_foreign(tmp_path / "gray.onnx", {"output": ROWS}, shape=(1, 1, 96, 96))
    write_foreign(tmp_path / "more.onnx", {"output": ROWS}, shape=(1, 3, 96, 96), further={"scale": 2})
    data = (tmp_path / "good.onnx").read_bytes()
    (tmp_path / "short.onnx").write_bytes(data[: len(data) // 2])
    (tmp_path / "empty.onnx").write_bytes(b"")
    (tmp_path / "text.onnx").write_text("no model")
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    (tmp_path / "three.txt").write_text("a\nb\nc\n")
    (tmp_path / "bad.toml").write_text('preset = "yolox"\n[decode]\nbox = "round"\n')
    (tmp_path / "broken.toml").write_text("[input\n")
    unknown = helper.make_graph(
        [helper.make_node("Mystery", ["x"], ["y"], domain="theirs")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 96, 96])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    opsets = [helper.make_opsetid("", 11), helper.make_opsetid("theirs", 1)]
    onnx.save(helper.make_model(unknown, opset_imports=opsets, ir_version=7), "unknown.onnx")
    return tmp_path


@pytest.mark.slow
@pytest.mark.usefixtures("folder")
def test_main_job(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("adopt good.onnx --as yolox --labels names.txt".split()) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == "good, fp32, 2 classes, adopted as yolox from good.onnx"
    assert "against the adopted file, decoded by NumPy" in out
    assert out.splitlines()[-1] == "next: detinfer image.jpg --model exports/good.onnx"
    assert [line.split()[0] for line in err.splitlines()] == ["read", "try", "attach", "verify"]
    assert main("--show exports/good.onnx".split()) == 0
    shown = capsys.readouterr().out
    assert "provenance.adopted_as" in shown and "cat, dog" in shown


@pytest.mark.usefixtures("folder")
def test_describe_names_what_fits(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("adopt good.onnx --describe".split()) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("images (1, 3, 96, 96) float32" in line for line in lines)
    assert any(line.split()[:2] == ["yolox", "yes"] for line in lines)
    assert any(line.split()[:2] == ["picodet", "no"] and "outputs" in line for line in lines)
    assert any(line.split()[:2] == ["heatmap", "no"] and "no maps" in line for line in lines)
    assert lines[-1].endswith("good.onnx --as ultralytics or ultralytics-v5 or yolox or yolox-decoded")
    write_foreign(Path("pair.onnx"), {"a": ROWS, "b": ROWS}, shape=(1, 3, 96, 96))
    assert main("adopt pair.onnx --describe".split()) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split()[:2] == ["simcc", "no"] and "bins" in line for line in lines)


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("good.onnx", 4, "give --as PRESET or --card"),
        ("good.onnx --as yolo", 2, "yolox-decoded"),
        ("good.onnx --as yolox --card bad.toml", 2, "not allowed with"),
        ("good.onnx --as yolox --imgsz 640 640", 2, "takes images of 96x96 px only"),
        ("good.onnx --as yolox --labels three.txt", 3, "3 labels, but the model has 2 classes"),
        ("good.onnx --as yolox --labels nothing.txt", 3, "nothing.txt"),
        ("good.onnx --as yolox --labels coco", 3, "2 classes, not COCO's 80"),
        ("good.onnx --as yolox --images nowhere", 3, "nowhere"),
        ("good.onnx --as yolox -o good.onnx", 2, "is the file to adopt"),
        ("good.onnx --as yolox -o good.txt", 2, "must end with .onnx"),
        ("good.onnx --as picodet", 4, "does not fit picodet; it has 1 outputs"),
        ("good.onnx --as nanodet-plus", 4, "its rows have 7 values"),
        ("large.onnx --as yolox", 4, "it has scores of 4.5 to 4.5, not 0 to 1"),
        ("wide.onnx --as yolox", 4, "189 rows for 128x96 px, not 252"),
        ("gray.onnx --as yolox", 4, "no colour image"),
        ("more.onnx --as yolox", 2, "scale has no value"),
        ("unknown.onnx --as yolox", 3, "does not load"),
        ("short.onnx --as yolox", 3, "short.onnx: not an ONNX"),
        ("empty.onnx --as yolox", 3, "empty.onnx: not an ONNX"),
        ("text.onnx --as yolox", 3, "text.onnx: not an ONNX"),
        ("nothing.onnx --as yolox", 3, "No such file"),
        ("good.onnx --card bad.toml", 3, "decode.box"),
        ("good.onnx --card broken.toml", 3, "broken.toml"),
        ("good.onnx --card nothing.toml", 3, "nothing.toml"),
        ("good.onnx --describe --labels names.txt", 2, "--labels"),
    ],
)
def test_one_line_for_what_cannot_be(
    line: str, code: int, words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        assert main(["adopt", *line.split()]) == code
    except SystemExit as left:
        assert left.code == code
    out, err = capsys.readouterr()
    errors = [each for each in err.splitlines() if each.startswith("error: ")]
    assert len(errors) == 1 and words in errors[0]
    assert not out
    assert not list(folder.glob("exports/*"))


def test_a_file_of_ours_is_not_adopted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("adopt good.onnx --as yolox".split()) == 0
    assert main("adopt exports/good.onnx --as yolox -o again.onnx".split()) == 2
    assert "a detforge file already" in capsys.readouterr().err


def stored_outside(folder: Path, location: str, length: str) -> Path:
    """good.onnx with its last weights in another file."""
    model = onnx.load(folder / "good.onnx")
    tensor = model.graph.initializer[-1]
    (folder / "weights.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", length)):
        tensor.external_data.add(key=key, value=value)
    path = folder / "outside.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_weights_in_a_file_beside_it_are_taken_in(folder: Path) -> None:
    stored_outside(folder, "weights.bin", str(ROWS.nbytes))
    assert main("adopt outside.onnx --as yolox".split()) == 0
    model = onnx.load("exports/outside.onnx", load_external_data=False)
    assert all(each.data_location == TensorProto.DEFAULT for each in model.graph.initializer)


@pytest.mark.parametrize(
    ("location", "length", "words"),
    [
        ("../weights.bin", "1", "outside its folder"),
        ("/etc/hostname", "1", "outside its folder"),
        ("link.bin", "1", "outside its folder"),
        ("", "1", "outside its folder"),
        ("missing.bin", "1", "missing"),
        ("weights.bin", "99999999", "truncated"),
        ("weights.bin", "many", "cannot be read"),
    ],
)
def test_weights_elsewhere_are_refused(
    location: str, length: str, words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "inner").mkdir()
    (folder / "link.bin").symlink_to("/etc/hostname")
    stored_outside(folder, location, length)
    code = main("adopt outside.onnx --as yolox".split())
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert code == 3 and len(errors) == 1 and words in errors[0]
