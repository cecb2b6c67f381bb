"""detexport as a user types it."""

import json
import subprocess
import sys

import pytest

from detforge.deploy.backends.ort import OrtBackend
from detforge.deploy.card import METADATA_KEY, Card
from detforge.export import catalog, doctor
from detforge.export.cli import main
from detforge.models.zoo import find


@pytest.mark.slow
def test_main_job(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert main(["--model", "gfl_test", "--checkpoint", "random", "--fp16"]) == 0
    out, err = capfd.readouterr()
    session = OrtBackend("exports/gfl_test-fp16.onnx")
    assert Card.from_json(session.metadata[METADATA_KEY]).provenance.precision == "fp16"
    assert out.splitlines()[-1] == "next: detinfer image.jpg --model exports/gfl_test-fp16.onnx"
    for word in ("max abs", "boxes", "scores", "nothing to compare", "wrote exports/gfl_test-fp16.onnx"):
        assert word in out
    # One line a step and nothing else: what the exporter warns of is not for the user.
    assert [line.split()[0] for line in err.splitlines()] == ["checkpoint", "export", "verify"]


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("", 2, "model is missing"),
        ("--model gfl_r51", 2, "gfl_r50"),
        ("--model gfl_test", 2, "--checkpoint"),
        ("--model gfl_test --imgsz 650 640", 2, "640 or 672"),
        ("--model gfl_test --imgsz 0 64", 2, "out of range"),
        ("--model gfl_test --batch 0", 2, "out of range"),
        ("--model gfl_test --json", 2, "--list"),
        ("--model gfl_test --checkpoint nothing.pth", 3, "nothing.pth"),
        ("--model gfl_test --checkpoint random --labels nothing.txt", 3, "nothing.txt"),
        ("--model gfl_test --checkpoint random --images nowhere", 3, "nowhere"),
        ("--model gfl_test --checkpoint random --int8", 2, "--calib DIR"),
        ("--model gfl_test --checkpoint random --calib nowhere", 2, "--int8"),
        ("--model gfl_test --checkpoint random --int8 --calib nowhere", 3, "nowhere"),
    ],
)
def test_exit_codes(line, code, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(line.split()) == code
    out, err = capsys.readouterr()
    error = err.splitlines()[-1]
    assert error.startswith("error: ")
    assert words in error
    assert not out


def test_missing_packages_are_named_with_their_extra():
    code = "import sys; sys.modules['torch'] = None; from detforge.export.cli import main; sys.exit(main(['--list']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 4
    assert done.stderr == "error: detexport needs torch, which is not installed; pip install 'detforge[export]'\n"


def test_the_file_of_an_export_is_onnx(capsys):
    assert main("--model gfl_test --checkpoint random -o m.engine".split()) == 2
    assert "the name of an ONNX file must end with .onnx" in capsys.readouterr().err


@pytest.mark.slow
def test_rejected_file_is_kept_under_another_name(tmp_path, capsys):
    line = "--model gfl_test --checkpoint random --imgsz 64 64 --batch 1 --fp16 --atol 0 --rtol 0 -o"
    assert main([*line.split(), str(tmp_path / "m.onnx")]) == 6
    printed = capsys.readouterr()
    error = printed.err.splitlines()[-1]
    assert error.startswith("error: ")
    assert "m.rejected.onnx" in error
    assert "max abs" in printed.out  # what was found wanting is shown
    assert [path.name for path in tmp_path.iterdir()] == ["m.rejected.onnx"]
    card = Card.from_json(OrtBackend(str(tmp_path / "m.rejected.onnx")).metadata[METADATA_KEY])
    assert card.provenance.parity.max_abs > 0


@pytest.mark.parametrize(
    "line", ["--nms soft", "--imgsz 64", "--batch two", "--fp16 --precision fp32", "--fp16 --int8", "--mod x"]
)
def test_wrong_flags(line, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--model", "gfl_test", *line.split()])
    assert caught.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_list(capsys, monkeypatch):
    monkeypatch.setattr(catalog, "VARIANTS", {name: find(name) for name in ("gfl_r50", "gfl_test")})
    assert main(["--list"]) == 0
    assert "gfl_r50" in capsys.readouterr().out
    assert main(["--list", "--json"]) == 0
    models = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert models["gfl_r50"]["checkpoint"] == "published"
    assert 32e6 < models["gfl_r50"]["parameters"] < 33e6
    assert models["gfl_r50"]["aliases"] == ["gfl"]
    assert models["gfl_test"]["checkpoint"] == "none"


@pytest.mark.slow
def test_doctor(capsys, monkeypatch):
    assert main(["--doctor", "--json"]) == 0
    states = {check["name"]: check["state"] for check in json.loads(capsys.readouterr().out)}
    for name in ("convolution fp16", "deform_conv fp32", "nms fp32"):
        assert states[f"ort cpu: {name}"] == "ok"
    monkeypatch.setattr(doctor, "examine", lambda: [doctor.Check("ort cpu: nms fp32", "failed", "differs", "report")])
    assert main(["--doctor"]) == 4
    out = capsys.readouterr().out
    assert "differs" in out and "report" in out


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from detforge.export.cli import _parser; _parser().format_help();"
        "print(sorted({'torch', 'numpy', 'onnx', 'rich', 'cv2', 'onnxruntime'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
