"""Engine files, with TensorRT and the GPU played by tests/standin: built once, kept, and refused with the way out."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from conftest import COLOR_CARD, write_color_model
from engines import detinfer
from onnx import TensorProto, helper

from detforge.deploy import load
from detforge.deploy.engine import runtime
from detforge.deploy.engine.cache import ensure_engine, find_engine
from detforge.deploy.engine.description import Description, read_description, sidecar, write_engine
from detforge.deploy.engine.onnx_file import read_onnx
from detforge.deploy.engine.progress import build_shown
from detforge.deploy.system.errors import DetforgeError, IncompatibleError, InputError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, standin: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a picture and m.onnx; gives that of the cached engines."""
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("a.png", np.full((64, 64, 3), (0, 0, 200), np.uint8))
    write_color_model(Path("m.onnx"), COLOR_CARD.to_json())
    return standin


def test_an_onnx_file_is_built_once(folder: Path, capfd: Any) -> None:
    first = detinfer(capfd, "--model", "m.onnx", "--backend", "tensorrt").splitlines()
    (plan,) = folder.glob("*.engine")
    assert first == [
        "model: m.onnx",
        "building a tensorrt engine of m.onnx for A10, once; it takes minutes",
        "warning: some kernels did not fit into the GPU's memory, or what a layer may use of it, and were not tried; "
        "free or allow more",
        f"kept as {plan}",
    ]
    assert (folder / "timings-11.4.0.106-sm86.cache").is_file()
    assert detinfer(capfd, "--model", "m.onnx", "--backend", "tensorrt") == "model: m.onnx\n"
    assert len(list(folder.glob("*.engine"))) == 1
    assert plan.read_bytes().startswith(b"standin")  # the plan and nothing else
    found = load("m.onnx", backend="tensorrt")(np.full((64, 64, 3), (0, 0, 200), np.uint8))
    assert [found.names[label] for label in found.labels] == ["red"] * 4


def test_a_damaged_engine_in_the_cache_is_built_anew(capfd: Any) -> None:
    plan = ensure_engine(Path("m.onnx"), "tensorrt", 0)
    whole = plan.read_bytes()
    plan.write_bytes(whole[:99])
    capfd.readouterr()
    assert "building a tensorrt engine" in detinfer(capfd, "--model", "m.onnx", "--backend", "tensorrt")
    assert plan.read_bytes() == whole


def test_an_engine_in_the_cache_that_does_not_fit_is_built_anew(capfd: Any) -> None:
    plan = ensure_engine(Path("m.onnx"), "tensorrt", 0)
    beside = plan.with_name(plan.name + ".json")
    whole = beside.read_text()
    for changes in ({"version": "11.3.0.1"}, {"version": "abc"}, {"sm": ["80"]}):
        beside.write_text(json.dumps(json.loads(whole) | changes))
        with pytest.raises(IncompatibleError, match="no engine of it for this GPU and tensorrt is in the cache"):
            load("m.onnx", backend="tensorrt")
        capfd.readouterr()
        assert "building a tensorrt engine" in detinfer(capfd, "--model", "m.onnx", "--backend", "tensorrt")
        assert beside.read_text() == whole


def test_an_engine_has_its_description_or_is_not_there(tmp_path: Path) -> None:
    built = ensure_engine(Path("m.onnx"), "tensorrt", 0)
    description, plan = read_description(built), tmp_path / "js.engine"

    def write(content: bytes, beside: str) -> None:
        def make(temporary: Path) -> Description:
            temporary.write_bytes(content)
            if beside == "folder meanwhile":
                sidecar(plan).mkdir()
            return description

        if beside == "folder":
            sidecar(plan).mkdir()
        with pytest.raises(DetforgeError, match=r"js\.engine\.json: cannot be written; "):
            write_engine(plan, make)

    for beside in ("folder", "folder meanwhile"):
        write(b"new", beside)
        assert not list(tmp_path.glob("*js.engine")) and not list(tmp_path.glob(".js*"))
        sidecar(plan).rmdir()
    plan.write_bytes(b"old")
    write(b"new", "folder")
    assert plan.read_bytes() == b"old"


def test_a_build_that_is_terminated_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(Path("tmp").resolve()))
    monkeypatch.setenv("STANDIN_FAULT", "hang")
    command = [sys.executable, "-c", "import sys; from detforge.deploy.detinfer.cli import main; sys.exit(main())"]
    arguments = ["a.png", "--no-save", "--model", "m.onnx", "--backend", "tensorrt"]
    with subprocess.Popen([*command, *arguments], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("warning: some kernels"):  # the builder is at work
                break
        assert list(folder.glob(".*.engine")) and list(Path("tmp").glob("tmp*"))
        process.terminate()
        assert process.stderr.read() == ""
    assert process.returncode == 143
    assert not list(folder.iterdir()) and not list(Path("tmp").glob("tmp*"))


def test_loading_builds_nothing(folder: Path) -> None:
    with pytest.raises(IncompatibleError, match=r"no engine .*; detinfer IMAGE --model m\.onnx --backend tensorrt"):
        load("m.onnx", backend="tensorrt")
    assert not folder.exists()


def test_the_engine_is_another_when_anything_that_it_depends_on_is(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [ensure_engine(Path("m.onnx"), "tensorrt", 0)]

    def differs() -> None:
        with pytest.raises(IncompatibleError, match="no engine of it"):
            find_engine(Path("m.onnx"), "tensorrt", 0)

    with monkeypatch.context() as patch:
        patch.setenv("STANDIN_GPU", "A100 80")
        differs()
    with monkeypatch.context() as patch:
        patch.setattr(runtime.importlib.import_module("tensorrt"), "__version__", "11.5.0.1")
        differs()
    assert find_engine(Path("m.onnx"), "tensorrt", 0) == keys[0]
    write_color_model(Path("m.onnx"), COLOR_CARD.to_json().replace("0.25", "0.3"))
    differs()
    write_pooling_model(Path("m.onnx"))
    keys.append(ensure_engine(Path("m.onnx"), "tensorrt", 0))
    plugins(monkeypatch, "TopPool")
    differs()


def plugins(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """As if detforge had been built with plugins for these operators."""
    library = Path("libdetforge_trt.so").resolve()
    library.write_text(" ".join(names))
    monkeypatch.setattr(runtime, "library", lambda name: library if names else None)


def write_pooling_model(path: Path) -> None:
    """The colour model, whose image passes through a node of ours first, which changes nothing."""
    model = onnx.load(path)
    body = helper.make_node("Identity", ["x"], ["y"])
    opset = helper.make_opsetid("", 20)
    model.functions.append(helper.make_function("detforge", "TopPool", ["x"], ["y"], [body], [opset]))
    model.opset_import.append(helper.make_opsetid("detforge", 1))
    model.graph.node[0].input[0] = "pooled"
    model.graph.node.insert(0, helper.make_node("TopPool", ["image"], ["pooled"], domain="detforge"))
    onnx.save(model, path)


def test_plugins_are_listed_and_needed(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    write_pooling_model(Path("m.onnx"))
    plugins(monkeypatch, "TopPool", "LeftPool")
    plan = ensure_engine(Path("m.onnx"), "tensorrt", 0)
    described = json.loads(plan.with_name(plan.name + ".json").read_text())["plugins"]
    operator = {"name": "TopPool", "version": "1", "namespace": "detforge", "layers": 1}
    digest = runtime.sha256(Path("libdetforge_trt.so"))
    assert described == {
        "library": "libdetforge_trt.so",
        "sha256": digest,
        "embedded": False,
        "operators": [operator],
    }
    detinfer(capfd, "--model", str(plan))
    plugins(monkeypatch, "TopPool")
    error = detinfer(capfd, "--model", str(plan), code=4)
    assert "built with another libdetforge_trt.so than the one here; build it here" in error
    plugins(monkeypatch)
    assert "needs the plugins TopPool, and" in detinfer(capfd, "--model", str(plan), code=4)


def test_tensorrt_rtx_takes_the_plugins_into_the_engine(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    write_pooling_model(Path("m.onnx"))
    plugins(monkeypatch, "TopPool")
    plan = ensure_engine(Path("m.onnx"), "tensorrt-rtx", 0)
    assert json.loads(plan.with_name(plan.name + ".json").read_text())["plugins"]["embedded"]
    plugins(monkeypatch)
    detinfer(capfd, "--model", str(plan))


def test_a_function_where_a_plugin_was_meant_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    write_pooling_model(Path("m.onnx"))
    plugins(monkeypatch, "LeftPool")  # of an older version, say
    error = detinfer(capfd, "--model", "m.onnx", "--backend", "tensorrt", code=5)
    assert error == "error: m.onnx: the network has nothing as plugins, the file 1 TopPool as nodes; report it"
    assert not list(folder.glob("*.engine*"))


def test_a_network_wider_than_its_card_says_is_refused(capfd: Any) -> None:
    model = onnx.load("m.onnx")
    helper.set_model_props(model, {"detforge_card": COLOR_CARD.to_json().replace('"fp32"', '"fp16"')})
    weights = helper.make_tensor("w", TensorProto.FLOAT, [3, 3, 1, 1], np.eye(3).ravel().tolist())
    model.graph.initializer.append(weights)
    model.graph.node[0].input[0] = "mixed"
    model.graph.node.insert(0, helper.make_node("Conv", ["image", "w"], ["mixed"], name="stem"))
    onnx.save(model, "m.onnx")
    error = detinfer(capfd, "--model", "m.onnx", "--backend", "tensorrt", code=5)
    assert error == "error: m.onnx: convolutions in fp32 where its Card says fp16; 1 of 1, stem for one; report it"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("crash", "the builder died of signal 6"), ("refuse", "no implementation for node x")],
)
def test_a_build_that_fails_leaves_nothing(
    fault: str, reason: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.setenv("STANDIN_FAULT", fault)
    error = detinfer(capfd, "--model", "m.onnx", "--backend", "tensorrt", code=5)
    assert reason in error and "m.onnx: no engine was built; " in error
    assert not list(folder.glob("*.engine*"))


def test_operators_without_their_plugins_are_told_when_a_build_fails(
    monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    write_pooling_model(Path("m.onnx"))
    monkeypatch.setenv("STANDIN_FAULT", "refuse")
    error = detinfer(capfd, "--model", "m.onnx", "--backend", "tensorrt", code=5)
    remedy = "the plugins for its operators were not built; CUDACXX=.../nvcc pip install --force-reinstall detforge"
    assert "no implementation for node x; " in error and error.endswith(remedy)


def test_operators_that_need_their_plugins_are_told_before_a_build(capfd: Any) -> None:
    write_pooling_model(Path("m.onnx"))
    model = onnx.load("m.onnx")
    model.functions[0].node[0].op_type = "TopPool"  # which TensorRT's parser takes for the function itself
    onnx.save(model, "m.onnx")
    error = detinfer(capfd, "--model", "m.onnx", "--backend", "tensorrt", code=5)
    assert "tensorrt takes TopPool as plugins alone, which were not built; CUDACXX=.../nvcc pip install" in error


@pytest.mark.parametrize("kind", [TensorProto.UINT8, TensorProto.INT32])
def test_codes_for_a_cpu_are_refused(kind: int, capfd: Any) -> None:
    model = onnx.load("m.onnx")
    codes = helper.make_tensor("codes", kind, [1], [0])
    model.graph.initializer.extend([codes, helper.make_tensor("step", TensorProto.FLOAT, [], [1.0])])
    model.graph.node.insert(0, helper.make_node("DequantizeLinear", ["codes", "step"], ["values"]))
    onnx.save(model, "m.onnx")
    for name in ("tensorrt", "tensorrt-rtx"):
        error = detinfer(capfd, "--model", "m.onnx", "--backend", name, code=4)
        assert error == (
            f"error: m.onnx: quantised for ONNX Runtime on a CPU, and {name} does not take that; "
            f"export it with --int8 --runtime {name}"
        )


def test_a_timing_cache_that_cannot_be_kept_costs_no_engine(folder: Path, capfd: Any) -> None:
    (folder / "timings-11.4.0.106-sm86.cache").mkdir(parents=True)
    said = detinfer(capfd, "--model", "m.onnx", "--backend", "tensorrt")
    assert "sm86.cache: cannot be written; Is a directory; check" in said
    assert list(folder.glob("*.engine.json"))


def test_a_broken_timing_cache_is_told(folder: Path, capfd: Any) -> None:
    folder.mkdir(parents=True)
    (folder / "timings-11.4.0.106-sm86.cache").write_bytes(b"rubbish")
    said = detinfer(capfd, "--model", "m.onnx", "--backend", "tensorrt")
    assert "warning: the timing cache is broken or of another TensorRT or GPU and is not used; delete it" in said


def test_a_terminal_shows_the_phases(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with build_shown() as watch:
        watch({"start": ["Building engine", 6]})
        watch({"start": ["Timing", 3]})
        watch({"step": ["Timing", 2]})
        watch({"step": ["Nobody started it", 1]})
        watch({"finish": "Timing"})
        watch({"warning": "mind [this]"})
        watch({"finish": "Building engine"})
    said = capsys.readouterr().err
    assert "Building engine" in said and "warning: mind [this]" in said


def test_files_that_are_no_models(capfd: Any) -> None:
    Path("bad.onnx").write_bytes(b"\x3a\xff\x01only a text")
    for name, code, said in (
        ("none.onnx", 3, "none.onnx: no such model file"),
        ("none.engine", 3, "none.engine: no such model file"),
        ("bad.onnx", 4, "bad.onnx: not an ONNX file; it ends within a field"),
    ):
        assert said in detinfer(capfd, "--model", name, "--backend", "tensorrt", code=code)
    write_color_model(Path("foreign.onnx"))
    assert "it holds no Card" in detinfer(capfd, "--model", "foreign.onnx", "--backend", "tensorrt", code=4)


def test_an_onnx_file_reads_as_the_package_onnx_reads_it() -> None:
    write_pooling_model(Path("m.onnx"))
    model, file = onnx.load("m.onnx"), read_onnx(Path("m.onnx"))
    assert [(port.name, port.shape) for port in file.inputs] == [("image", (None, 3, 64, 64))]
    assert file.metadata == {entry.key: entry.value for entry in model.metadata_props}
    assert dict(file.operators) == {"TopPool": 1} and not file.for_cpu
    with pytest.raises(InputError, match="no such model file"):
        read_onnx(Path("none.onnx"))
