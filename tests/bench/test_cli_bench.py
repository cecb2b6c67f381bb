"""detbench as a command, mostly on a network that answers from memory."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import COLOR_CARD, write_color_model

from detforge.deploy import loader
from detforge.deploy.backends.recorded import RecordedBackend
from detforge.deploy.bench import cli
from detforge.deploy.bench.report import METRICS, STAGES, BenchmarkReport, Case, read_report
from detforge.deploy.card import METADATA_KEY
from detforge.deploy.inputs.resize import Resize

BRIEF = ("--duration", "0.05", "--warmup", "0", "--images", "photos")


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with three photographs, one of another shape."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for name, size in (("a", (48, 64)), ("b", (48, 64)), ("c", (64, 48))):
        cv2.imwrite(f"photos/{name}.jpg", np.full((*size, 3), 128, np.uint8))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """Every file is a model that answers from memory; gives what was opened, and how."""
    outputs = {"boxes": np.zeros((8, 4, 4), np.float32), "scores": np.zeros((8, 4, 3), np.float32)}
    calls: list[tuple[str, dict[str, Any]]] = []

    def open_backend(path: str, **options: Any) -> RecordedBackend:
        calls.append((path, options))
        return RecordedBackend(outputs, {METADATA_KEY: COLOR_CARD.to_json()})

    monkeypatch.setattr(loader, "open_backend", open_backend)
    return calls


def bench(*argv: str) -> int:
    return cli.main([*BRIEF, *argv])


def cases(report: BenchmarkReport) -> list[tuple[str, int]]:
    return [(result.case.model, result.case.batch) for result in report.results]


def error_of(capfd: pytest.CaptureFixture[str]) -> str:
    said = ("model: ", "backend: ", "warning: other processes used")
    lines = [line for line in capfd.readouterr().err.splitlines() if not line.startswith(said)]
    assert len(lines) == 1
    return lines[0]


def test_every_model_and_batch_is_measured(
    opened: list[Any], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("detforge.deploy.system.processors.available_processors", lambda: 3)
    argv = ("--model", "a.onnx", "--model", "b.onnx", "--batch", "1,8", "--threads", "3", "--streams", "2")
    assert bench(*argv, "--json", "r.json", "--csv", "r.csv") == 0
    out, err = capfd.readouterr()
    report = read_report(Path("r.json"))
    assert cases(report) == [("a.onnx", 1), ("a.onnx", 8), ("b.onnx", 1), ("b.onnx", 8)]
    options = {"backend": "ort", "device": "cpu", "threads": 3, "streams": 2}
    assert opened == [(name, options) for name in ("a.onnx", "b.onnx")]
    for result in report.results:
        assert result.case.streams == 2 and result.batches >= 2
        for stage in STAGES:
            latency = result.ms[stage]
            assert 0 < latency.p50 <= latency.p90 <= latency.p99
    assert len(Path("r.csv").read_text().splitlines()) == 1 + 4 * len(STAGES)
    assert report.environment["threads"] == 3
    assert report.settings["models"] == {"a.onnx": "a.onnx", "b.onnx": "b.onnx"}
    assert report.settings["images"] == {"folder": "photos", "count": 3}
    assert [line for line in err.splitlines() if line.startswith("model")] == ["model: a.onnx", "model: b.onnx"]
    assert err.count("backend: ort, the fastest") == 2
    assert "latency, ms per batch" in out and "threads used" in out and "\x1b" not in out


def test_runtimes_take_turns(opened: list[Any]) -> None:
    argv = [word for name in ("openvino", "auto", "ort", "openvino") for word in ("--backend", name)]
    assert bench("--model", "a.onnx", *argv, "--json", "r.json") == 0
    assert [result.case.backend for result in read_report(Path("r.json")).results] == ["openvino", "ort"]


def test_files_of_one_name_are_told_apart_and_one_file_is_measured_once(opened: list[Any]) -> None:
    argv = [word for name in ("x/m.onnx", "y/m.onnx", "x/../x/m.onnx", "n.onnx") for word in ("--model", name)]
    assert bench(*argv, "--batch", "1,1", "--json", "r.json") == 0
    assert cases(read_report(Path("r.json"))) == [("x/../x/m.onnx", 1), ("y/m.onnx", 1), ("n.onnx", 1)]


def test_json_on_stdout_is_alone_there(opened: list[Any], capfd: pytest.CaptureFixture[str]) -> None:
    assert bench("--model", "a.onnx", "--json", "-") == 0
    out, err = capfd.readouterr()
    assert json.loads(out)["results"][0]["case"]["model"] == "a.onnx"
    assert "end to end" in err


def test_a_real_session_agrees_with_what_a_user_gets(color_model: Path) -> None:
    assert bench("--model", str(color_model), "--batch", "3", "--json", "r.json") == 0
    [result] = read_report(Path("r.json")).results
    assert result.case == Case("colors.onnx", "ort", "cpu", 3, 1)
    inside = sum(result.ms[stage].mean for stage in ("decode", "pre", "infer", "post"))
    assert result.ms["e2e"].mean > inside > 0


def test_images_in_several_network_sizes_are_noted(
    opened: list[Any], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    card = COLOR_CARD.with_place(Resize((32, 64), by="edges"))
    backend = RecordedBackend(
        {"boxes": np.zeros((8, 2, 4), np.float32), "scores": np.zeros((8, 2, 3), np.float32)},
        {METADATA_KEY: card.to_json()},
    )
    monkeypatch.setattr(loader, "open_backend", lambda *_, **__: backend)
    assert bench("--model", "a.onnx", "--batch", "2") == 0
    assert "note: a.onnx resizes these images to 2 different sizes" in capfd.readouterr().err


@pytest.mark.parametrize("streams", ["1", "2"])
def test_comparison_and_gate(streams: str, opened: list[Any], capfd: pytest.CaptureFixture[str]) -> None:
    run = ("--model", "a.onnx", "--streams", streams)
    assert bench(*run, "--json", "base.json") == 0
    capfd.readouterr()
    assert bench(*run, "--compare", "base.json", "--fail-if", "p99>999999ms") == 0
    assert "change since base.json" in capfd.readouterr().out
    # A base of a thousandth of the time is missed whatever the machine does; the files are written all the same.
    data = json.loads(Path("base.json").read_text())
    data["results"][0]["ms"] = {stage: dict.fromkeys(METRICS, 1e-09) for stage in STAGES}
    Path("base.json").write_text(json.dumps(data))
    gates = ("--fail-if", "p99>+10%", "--fail-if", "infer.p50>+10%")
    assert bench(*run, "--compare", "base.json", *gates, "--json", "base.json") == 6
    error = error_of(capfd)
    assert error.startswith("error: a.onnx on ort cpu, batch 1") and "e2e.p99 is" in error and "1 more" in error
    assert read_report(Path("base.json")).results[0].ms["e2e"].p99 > 1e-9


def test_another_machine_and_a_missing_case_are_warned_of(opened: list[Any], capfd: pytest.CaptureFixture[str]) -> None:
    assert bench("--model", "a.onnx", "--json", "base.json") == 0
    data = json.loads(Path("base.json").read_text())
    data["environment"]["cpu"] = "Abacus"
    Path("base.json").write_text(json.dumps(data))
    capfd.readouterr()
    assert bench("--model", "a.onnx", "--batch", "1,2", "--compare", "base.json") == 0
    err = capfd.readouterr().err
    assert "warning: base.json has no a.onnx on ort cpu, batch 2; not compared" in err
    assert "warning: base.json was measured with cpu Abacus, not " in err


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (("--model", "nope"), 2, "no export of 'nope'"),
        (("--model", "nope.onnx"), 3, "nope.onnx: no such model file"),
        (("--model", "photos"), 3, "a folder"),
        (("--model", "bare.onnx"), 4, "holds no Card"),
        (("--model", "photos/a.jpg"), 4, "not a model"),
        (("--model", "ours.onnx", "--device", "cuda:0"), 4, "cuda:0"),
        (("--model", "ours.onnx", "--images", "nope"), 3, "nope"),
        (("--model", "ours.onnx", "--images", "empty"), 3, "empty"),
        (("--model", "ours.onnx", "--images", "0"), 3, "no image"),
        (("--model", "ours.onnx", "--compare", "nope.json"), 3, "nope.json"),
        (("--model", "ours.onnx", "--compare", "photos/a.jpg"), 3, "not JSON"),
        (("--model", "ours.onnx", "--compare", "base.json", "--batch", "7"), 3, "nothing in common"),
        (("--model", "ours.onnx", "--fail-if", "p99>+10%"), 2, "--compare"),
        (("--model", "ours.onnx", "--json", "photos/a.jpg/r.json"), 2, "r.json"),
    ],
)
def test_errors_are_one_line_with_their_code(
    argv: tuple[str, ...], code: int, words: str, color_model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("ours.onnx").write_bytes(color_model.read_bytes())
    write_color_model(Path("bare.onnx"))
    Path("empty").mkdir()
    assert bench("--model", "ours.onnx", "--json", "base.json") == 0
    capfd.readouterr()
    assert bench(*argv) == code
    error = error_of(capfd)
    assert error.startswith("error: ") and words in error


@pytest.mark.parametrize(
    "argv",
    [
        *(("--duration", text) for text in ("0", "-1", "nan", "inf", "ten", "")),
        *(("--warmup", text) for text in ("-1", "nan")),
        *(("--batch", text) for text in ("0", "1,,2", "1.5", "", "-1", "9999", "٣")),
        ("--streams", "0"),
        ("--threads", "0"),
        ("--backend", "caffe"),
        ("--device", "gpu"),
        ("--fail-if", "p95>+10%"),
        ("--peer", "jax"),
        ("photo.jpg",),
    ],
)
def test_usage_errors(argv: tuple[str, ...], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        bench(*argv)
    assert exit_.value.code == 2
    assert error_of(capfd).startswith("error: ")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import contextlib, sys\n"
        "from detforge.deploy.bench.cli import main\n"
        "with contextlib.suppress(SystemExit): main(['--help'])\n"
        "heavy = {'numpy', 'cv2', 'rich', 'onnxruntime', 'torch', 'onnx'} & set(sys.modules)\n"
        "sys.exit(f'imports {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--fail-if" in done.stdout
