"""Engines that do not fit what is here, with TensorRT and the GPU played by tests/standin: exit 4, and the way out."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import COLOR_CARD, write_color_model
from engines import detinfer

from detforge.deploy.backends.open import open_backend
from detforge.deploy.engine import runtime
from detforge.deploy.engine.cache import ensure_engine
from detforge.deploy.engine.description import check_fits, read_description
from detforge.deploy.system.errors import IncompatibleError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, standin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a picture and m.onnx."""
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("a.png", np.full((64, 64, 3), (0, 0, 200), np.uint8))
    write_color_model(Path("m.onnx"), COLOR_CARD.to_json())


@pytest.fixture
def plan() -> Path:
    """An engine with its description."""
    built = ensure_engine(Path("m.onnx"), "tensorrt", 0)
    for suffix in ("", ".json"):
        Path(f"m.engine{suffix}").write_bytes(built.with_name(built.name + suffix).read_bytes())
    return Path("m.engine")


def edit(**changes: Any) -> None:
    """Change the description."""
    path = Path("m.engine.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


REMEDY = "build it here from its ONNX file: detinfer IMAGE --model m.onnx --backend tensorrt"


def test_what_does_not_fit_is_told_with_what_mends_it(plan: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    def refused() -> str:
        return detinfer(capfd, "--model", str(plan), code=4)

    capfd.readouterr()
    with monkeypatch.context() as patch:
        patch.setenv("STANDIN_GPU", "A100 80")
        assert refused() == f"error: m.engine: built for GPUs of SM 86, and here is SM 80; {REMEDY}"
    with monkeypatch.context() as patch:
        patch.setenv("STANDIN_GPU", "")
        assert refused() == "error: device cuda:0: CUDA finds no GPU here; cudaErrorNoDevice; check nvidia-smi"
    with monkeypatch.context() as patch:
        patch.setattr(runtime.importlib.import_module("tensorrt"), "__version__", "11.5.0.1")
        error = f"error: m.engine: built with tensorrt 11.4.0.106, and 11.5.0.1 is installed; {REMEDY}"
        assert refused() == error
    whole = plan.read_bytes()
    plan.write_bytes(whole[:-100])
    assert "m.engine: truncated, damaged, or not the plan that m.engine.json describes; copy both" in refused()
    plan.write_bytes(whole)
    text = Path("m.engine.json").read_text()
    Path("m.engine.json").unlink()
    assert f"m.engine: its description m.engine.json is missing; copy both files together, or {REMEDY}" in refused()
    Path("m.engine.json").write_text(text[:100])
    assert "m.engine.json: the engine's description cannot be read" in refused()
    Path("m.engine.json").write_text(text)
    detinfer(capfd, "--model", str(plan))


def test_descriptions_that_lie_are_refused(plan: Path, capfd: Any) -> None:
    text = Path("m.engine.json").read_text()
    for changes, said in (
        ({"schema": 2}, "of schema 2, newer than 1; pip install --upgrade detforge"),
        ({"sm": 86}, "does not parse; field 'sm' must hold a list"),
        ({"sm": ["x"], "hw_compat": True}, "does not parse; field 'sm' must hold compute capabilities like 86; copy"),
        ({"version": "abc"}, "does not parse; field 'version' must hold numbers with dots; copy both"),
        ({"version": "11"}, "does not parse; field 'version' must hold numbers with dots; copy both"),
        ({"version": "9" * 5000 + ".1"}, "does not parse; field 'version' must hold numbers with dots; copy both"),
        ({"extra": 1}, "does not parse; field 'extra' is unknown"),
        ({"version": "11.3.0.1", "version_compat": False}, "built with tensorrt 11.3.0.1"),
    ):
        edit(**changes)
        assert said in detinfer(capfd, "--model", str(plan), code=4)
        Path("m.engine.json").write_text(text)
    Path("m.engine.json").write_text("[]")
    assert "does not parse; not a JSON object; copy both" in detinfer(capfd, "--model", str(plan), code=4)
    Path("m.engine.json").unlink()
    Path("m.engine.json").mkdir()
    error = detinfer(capfd, "--model", str(plan), code=4)
    assert "m.engine.json: the engine's description cannot be read; Is a directory; copy both" in error
    Path("m.engine.json").rmdir()
    Path("m.engine.json").write_text(text)
    edit(plan_sha256=runtime.sha256(Path("a.png")))
    Path("m.engine").write_bytes(Path("a.png").read_bytes())
    error = detinfer(capfd, "--model", str(plan), code=4)
    assert f"cannot load this engine; Serialization assertion plan failed; {REMEDY}" in error


def test_compatible_engines_run_on_others(plan: Path) -> None:
    def check(version: str, capability: str, wanted: bool, **flags: bool) -> None:
        text = Path("m.engine.json").read_text()
        edit(version="11.4.0.106", **flags)
        description = read_description(plan)
        Path("m.engine.json").write_text(text)
        try:
            check_fits(description, plan, version, capability)
        except IncompatibleError:
            assert not wanted
        else:
            assert wanted

    check("11.4.0.106", "86", True)
    check("11.4.0.200", "86", True)  # another build of the same version
    check("11.5.0.1", "86", False)
    check("11.5.0.1", "86", True, version_compat=True)
    check("11.3.0.1", "86", False, version_compat=True)
    check("12.0.0.1", "86", False, version_compat=True)
    check("11.4.0.106", "120", False)
    check("11.4.0.106", "120", True, hw_compat=True)
    check("11.4.0.106", "75", False, hw_compat=True)


def test_a_missing_runtime_is_told(plan: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    real = runtime.importlib.util.find_spec
    monkeypatch.setattr(runtime.importlib.util, "find_spec", lambda name: None if name == "tensorrt" else real(name))
    error = detinfer(capfd, "--model", str(plan), code=4)
    assert error == "error: tensorrt is not installed; pip install 'detforge[tensorrt]'"


def test_versions_that_are_not_known_are_refused(plan: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    for version in ("10.9.0.34", "12.0.0.1"):
        monkeypatch.setattr(runtime.importlib.import_module("tensorrt"), "__version__", version)
        error = detinfer(capfd, "--model", str(plan), code=4)
        assert f"tensorrt {version} is not supported, 10.10 to before 12 is; pip install" in error


def test_a_fallback_runs_the_onnx_file_on_the_cpu(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    monkeypatch.setenv("STANDIN_GPU", "")
    said = detinfer(capfd, "--model", "m.onnx", "--backend", "tensorrt", "--allow-fallback")
    assert said.splitlines()[-1].startswith("warning: device cuda:0: CUDA finds no GPU here;")


def test_a_device_that_is_not_there(plan: Path) -> None:
    with pytest.raises(IncompatibleError, match="device cuda:3: not one of the 1 here; choose cuda:0 to cuda:0"):
        open_backend(str(plan), device="cuda:3")
