"""detexport --doctor: everything that is here runs, what is not is told with what brings it."""

from pathlib import Path

import pytest

from detforge.deploy.backends import ort
from detforge.export import doctor

LAYERS = doctor._LAYERS


@pytest.fixture(autouse=True)
def two_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A convolution in fp16 and one operator, to be quick."""
    layers = {name: make for name, make, _ in doctor._LAYERS}
    kept = [("convolution", layers["convolution"], ("fp16",)), ("dfl", layers["dfl"], ("fp32",))]
    monkeypatch.setattr(doctor, "_LAYERS", kept)


@pytest.mark.slow
def test_a_gpu_and_tensorrt(standin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_RUNTIMES", [("tensorrt", "cuda:0"), ("tensorrt-rtx", "build")])
    found = {check.name: check for check in doctor.examine()}
    assert found["tensorrt cuda:0: convolution fp16"].state == "ok"
    assert found["tensorrt cuda:0: dfl fp32"].detail.startswith("agrees with PyTorch to ")
    assert found["tensorrt-rtx build: dfl fp32"].detail.endswith("not run")
    # One line for all of a runtime that has no GPU.
    monkeypatch.setenv("STANDIN_GPU", "")
    found = {check.name: check for check in doctor.examine()}
    assert "tensorrt cuda:0: dfl fp32" not in found
    assert found["tensorrt cuda:0"].state == "absent"
    assert found["tensorrt cuda:0"].mend == "check nvidia-smi"


@pytest.mark.slow
def test_kernels_that_run_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = {name: make for name, make, _ in LAYERS}["deform_conv"]  # its function has a node of the same name
    monkeypatch.setattr(doctor, "_LAYERS", [("deform_conv", layer, ("fp32",))])
    monkeypatch.setattr(doctor, "_RUNTIMES", [("ort", "cpu")])

    def run() -> doctor.Check:
        (check,) = [check for check in doctor.examine() if check.name == "ort cpu: deform_conv fp32"]
        return check

    assert run().detail.endswith(", as kernel DeformConv")
    monkeypatch.setattr(ort, "library", lambda _: None)
    assert run().state == "ok" and "as kernel" not in run().detail


def test_a_broken_installation_has_failed(standin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDIN_TENSORRT", "9.3.0.1")  # which the stand-in cannot play
    monkeypatch.setattr(doctor, "_RUNTIMES", [("tensorrt", "cuda:0")])
    (check,) = [check for check in doctor.examine() if check.name == "tensorrt cuda:0"]
    assert check.state == "failed"
