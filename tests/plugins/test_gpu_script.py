"""benchmarks/gpu/run.py, where there is no GPU and where one seems to be."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks" / "gpu"
SCRIPT = FOLDER / "run.py"


def script() -> ModuleType:
    """run.py as a module."""
    spec = importlib.util.spec_from_file_location("gpu_run", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["gpu_run"] = module  # where its dataclasses look for their names
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
    assert [step["name"] for step in written["steps"]] == [*script().STEPS]
    assert {(step["state"], step["detail"]) for step in written["steps"]} == {("absent", "no CUDA GPU")}
    assert written["environment"]["gpu"] is None
    assert written["environment"]["packages"]["detforge"]


FAILS = """
import sys
print('{"result": {"us": 1}}', flush=True)
print('{"detail": "the kernel differs"}', flush=True)
print("\\n".join(map(str, range(30))), file=sys.stderr)
sys.exit(1)
"""
LACKS = "import sys; print('a library talks'); print('{\"detail\": \"no headers\"}'); sys.exit(5)"
HANGS = "import time; print('{\"result\": [1]}', flush=True); time.sleep(600)"
DIES = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"


@pytest.mark.parametrize(
    ("program", "state", "detail", "results"),
    [
        (FAILS, "failed", "the kernel differs", [{"us": 1}]),
        (LACKS, "absent", "no headers", []),
        (HANGS, "failed", "stopped after 1 s", [[1]]),
        (DIES, "failed", "ended with exit code -11", []),
        ('print(\'{"detail": "fine"}\')', "ok", "fine", []),
    ],
)
def test_a_step_is_a_process(program: str, state: str, detail: str, results: list[object]) -> None:
    """One step fails, one lacks something, one hangs, one crashes; what it measured before is kept."""
    module = script()
    step, written = module.Step("a", "absent", ""), []
    module.run_step(step, [sys.executable, "-c", program], 1, lambda: written.append(len(step.results)))
    assert (step.state, step.detail, step.results) == (state, detail, results)
    assert written == [*range(1, len(results) + 1)]  # as they are measured
    assert step.output == ([*map(str, range(10, 30))] if program == FAILS else [])


def test_steps_are_chosen_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module, ran = script(), []

    def run_step(step: object, command: list[str], limit: float, write: object) -> None:
        ran.append((step.name, limit))
        step.state = "failed" if step.name == "layer" else "ok"

    monkeypatch.setattr(module, "run_step", run_step)
    monkeypatch.setattr(module, "describe", lambda: {"gpu": "a card"})
    target = tmp_path / "gpu.json"
    assert module.main(["--json", str(target), "--only", "times", "operators"]) == 0
    assert ran == [("build", 300), ("operators", 90), ("times", 240)]  # in their order, after the library
    ran.clear()
    assert module.main(["--json", str(target), "--only", "layer", "--library", str(tmp_path)]) == 1
    assert ran == [("layer", 60)]
    assert [step["state"] for step in json.loads(target.read_text())["steps"]] == ["failed"]
    assert "layer          failed" in capsys.readouterr().out


def test_a_failing_step_ends_with_its_reason(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A step without its library says so in a line, with the exit code of what is absent."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--step", "operators", "--library", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 5, done.stderr
    assert "detail" in json.loads(done.stdout.splitlines()[-1])


def test_a_table_of_machine_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without nvcc: its version and the demangler are played."""
    spec = importlib.util.spec_from_file_location("machine_code", FOLDER / "machine_code.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "machine_code", module)
    spec.loader.exec_module(module)
    said = {
        "nvcc": "Cuda compilation tools, release 13.0, V13.0.88",
        "c++filt": "void detforge::(anonymous namespace)::pool<__half2, 2, (int)16>(__half2 const*, long)",
    }
    monkeypatch.setattr(module, "output", lambda *command: said[command[0]])
    assert module.short("mangled") == "pool<half2, 2, 16>"
    kernels = {("pool<half2, 2, 16>", number): module.Kernel(number, 40, 8) for number in module.ARCHITECTURES}
    lines = module.table(kernels, {}).splitlines()
    assert lines[3] == "| `pool<half2, 2, 16>` | 75, 40, 8 B | 80, 40, 8 B | 89, 40, 8 B | 90, 40, 8 B | 100, 40, 8 B |"
    assert lines[5] == "Instructions, registers and bytes of stack, where there are any; nvcc 13.0."
