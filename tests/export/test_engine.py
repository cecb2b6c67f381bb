"""Engines: what is asked of the builder, what is refused, and a real build where TensorRT-RTX is installed."""

import importlib.util
import json
from dataclasses import replace

import onnx
import pytest
from conftest import COLOR_CARD

from detforge.deploy.backends.tensorrt import Build, Layer
from detforge.deploy.errors import ExportError, IncompatibleError, UsageError
from detforge.export import export
from detforge.export.cli import main
from detforge.export.engine import EngineOptions, build_engine, check, check_options, profile

CARD = replace(COLOR_CARD, input=replace(COLOR_CARD.input, resize="edges", size=(800, 1333), pad_multiple=32))
FP16 = replace(CARD, provenance=replace(CARD.provenance, precision="fp16"))
no_rtx = pytest.mark.skipif(importlib.util.find_spec("tensorrt_rtx") is None, reason="tensorrt-rtx is not installed")


def graph(*dims: int | str, nodes: tuple[str, ...] = ()) -> onnx.ModelProto:
    """A file with an image input of these dimensions and these nodes of ours."""
    image = onnx.helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, dims)
    made = [onnx.helper.make_node(name, ["image"], [f"y{i}"], domain="detforge") for i, name in enumerate(nodes)]
    return onnx.helper.make_model(onnx.helper.make_graph(made, "g", [image], []))


def test_the_profile_follows_from_the_card() -> None:
    shapes = profile(graph("batch", 3, "height", "width"), CARD, (1, 2, 4))
    # 640x480 becomes 800x1067, padded to 1088; the longest side is 1333, padded to 1344.
    assert shapes == {"image": ((1, 3, 32, 32), (2, 3, 800, 1088), (4, 3, 1344, 1344))}


def test_fixed_dimensions_stay() -> None:
    assert profile(graph("batch", 3, 128, 160), CARD, (1, 1, 8))["image"][2] == (8, 3, 128, 160)
    assert profile(graph(1, 3, 128, 160), CARD, (1, 1, 8)) == {}


def test_a_batch_that_contradicts_the_file_is_refused() -> None:
    with pytest.raises(UsageError, match="the file's batch is fixed at 2"):
        profile(graph(2, 3, "height", "width"), CARD, (1, 1, 4))


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (EngineOptions("tensorrt-rtx", batch=(2, 1, 4)), "are not in order"),
        (EngineOptions("tensorrt", sm=("89",)), "--sm is for --runtime tensorrt-rtx"),
    ],
)
def test_options_that_contradict_themselves_are_refused(options: EngineOptions, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        check_options(options)


@pytest.mark.skipif(importlib.util.find_spec("tensorrt") is not None, reason="TensorRT is installed")
def test_a_missing_runtime_is_told_before_the_export(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(IncompatibleError, match="tensorrt is not installed; pip install 'detforge\\[tensorrt\\]'"):
        check_options(EngineOptions("tensorrt"))
    assert main(["--model", "gfl_test", "--checkpoint", "random", "--format", "engine"]) == 4
    assert capsys.readouterr().err.count("\n") == 1


def test_engine_flags_go_with_an_engine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model", "gfl_test", "--max-batch", "4"]) == 2
    assert "--max-batch goes with --format engine" in capsys.readouterr().err


def built(*layers: tuple[str, str | None, str], plugins: str | None = "lib.so") -> Build:
    """A network of layers (kind, plugin, precision)."""
    made = tuple(Layer(f"layer{i}", *layer) for i, layer in enumerate(layers))
    return Build("tensorrt-rtx", "1.7", plugins, made)


def test_an_fp32_convolution_in_an_fp16_network_is_an_error() -> None:
    network = built(("CONVOLUTION", None, "HALF"), ("CONVOLUTION", None, "FLOAT"))
    check(network, graph(1, 3, 8, 8), CARD)
    with pytest.raises(ExportError, match="1 convolutions of the network are fp32, layer1 for one, not fp16"):
        check(network, graph(1, 3, 8, 8), FP16)


def test_a_function_where_a_plugin_was_meant_is_an_error() -> None:
    file = graph(1, 3, 8, 8, nodes=("TopPool", "TopPool"))
    check(built(("PLUGIN_V3", "TopPool", "HALF"), ("PLUGIN_V3", "TopPool", "HALF")), file, FP16)
    with pytest.raises(ExportError, match=r"the plugins \{'TopPool': 1\}, the file the nodes \{'TopPool': 2\}"):
        check(built(("PLUGIN_V3", "TopPool", "HALF"), ("ELEMENTWISE", None, "HALF")), file, FP16)
    check(built(("ELEMENTWISE", None, "HALF"), plugins=None), file, FP16)  # none of our plugins is installed


@no_rtx
def test_a_real_engine(tmp_path) -> None:
    report = export("gfl_test", checkpoint="random", precision="fp16", verify="off", output=tmp_path / "m.onnx")
    engine = build_engine(report.path, report.card, EngineOptions("tensorrt-rtx", ("86", "89"), (1, 1, 2)))
    assert engine.stat().st_size > 100_000
    description = json.loads((tmp_path / "m.engine.json").read_text())
    assert description["card"]["model"] == "gfl_test"
    kinds = {(layer["kind"], layer["precision"]) for layer in description["layers"]}
    assert ("CONVOLUTION", "HALF") in kinds
    assert ("CONVOLUTION", "FLOAT") not in kinds


@no_rtx
def test_what_it_cannot_build_is_told_and_leaves_nothing(tmp_path) -> None:
    options = {"checkpoint": "random", "nms": "graph", "imgsz": (128, 128), "batch": 1, "max_det": 5, "verify": "off"}
    report = export("gfl_test", **options, output=tmp_path / "m.onnx")
    with pytest.raises(ExportError, match=r"no engine was built; .*NonMaxSuppression"):
        build_engine(report.path, report.card, EngineOptions("tensorrt-rtx", ("89",)))
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
