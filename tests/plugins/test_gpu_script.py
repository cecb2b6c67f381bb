"""benchmarks/gpu/run.py, where there is no GPU and where one seems to be."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu" / "run.py"
STEPS = [
    "build",
    "operators, all cases",
    "operators, sanitized",
    "operators, times",
    "preprocessing",
    "suppression",
    "plugins in the harness",
    "ONNX Runtime, CUDA",
    "tensorrt",
    "tensorrt-rtx",
]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu_run", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "gpu_run", module)  # where its dataclasses look for their names
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="there is a GPU; its twin below stands in")
def test_says_what_it_could_not_do(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--json", str(tmp_path / "gpu.json")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 4
    assert done.stderr == "error: no CUDA GPU here, so nothing was measured; run this where nvidia-smi finds one\n"
    written = json.loads((tmp_path / "gpu.json").read_text())
    assert [step["name"] for step in written["steps"]] == STEPS
    assert {(step["state"], step["detail"]) for step in written["steps"]} == {("absent", "no CUDA GPU")}
    assert written["environment"]["gpu"] is None
    assert written["environment"]["packages"]["detforge"]


def test_each_step_is_on_its_own(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One step fails, one lacks what it needs, one measures; all are told and written."""

    def fails() -> None:
        raise RuntimeError("the kernel differs\nand more")

    steps = {"a": fails, "b": lambda: script.need(False, "no headers"), "c": lambda: ("fine", [1, 2])}
    monkeypatch.setattr(script, "steps_of", lambda _: steps)
    monkeypatch.setattr(script, "describe", lambda: {"gpu": "a card"})
    assert script.main(["--json", str(tmp_path / "gpu.json")]) == 1
    written = json.loads((tmp_path / "gpu.json").read_text())["steps"]
    assert [(step["state"], step["detail"], step["results"]) for step in written] == [
        ("failed", "the kernel differs", None),
        ("absent", "no headers", None),
        ("ok", "fine", [1, 2]),
    ]
    assert "the kernel differs" in capsys.readouterr().out


def test_a_command_that_fails_is_told_by_its_last_line(script: ModuleType) -> None:
    with pytest.raises(RuntimeError, match="exit code 3: error: that is why"):
        script.run([sys.executable, "-c", "import sys; print('error: that is why', file=sys.stderr); sys.exit(3)"])
