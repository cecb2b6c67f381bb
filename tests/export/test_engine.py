"""Engines from detexport: profiles, what is refused before the work, and builds, some of them in TensorRT-RTX."""

import importlib.util
import json
from argparse import ArgumentParser
from collections import Counter
from dataclasses import replace
from pathlib import Path

import onnx
import onnx.inliner
import pytest
from conftest import COLOR_CARD

from detforge.deploy.card import Card
from detforge.deploy.contract.port import Port
from detforge.deploy.contract.skeleton import Skeleton
from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.engine.layers import Layer, check_layers, engine_layers
from detforge.deploy.engine.profile import profile
from detforge.deploy.engine.runtime import plugin_library
from detforge.deploy.forms import Heatmaps, Tags
from detforge.deploy.inputs.cover import Cover
from detforge.deploy.inputs.crop import Crop
from detforge.deploy.inputs.network_inputs import ImageInput, SizeInput
from detforge.deploy.inputs.resize import Pad, Resize
from detforge.deploy.system.errors import ExportError, IncompatibleError, UsageError
from detforge.export.cli import main
from detforge.export.engine_flags import add_flags

FILE = Path("m.onnx")
NAMES = ("a", "b")
SKELETON = Skeleton(NAMES, ((0, 1),), ((0, 1),), (0.1, 0.1))


EDGES = COLOR_CARD.with_place(Resize((800, 1333), "edges", pad=Pad(multiple=32)))
KEPT = COLOR_CARD.with_place(Resize(pad=Pad(multiple=128, rule="or")))
CROPS = Card(
    model="crops",
    inputs=(ImageInput(Crop((256, 192)), "rgb", (0.0, 0.0, 0.0), (255.0, 255.0, 255.0)),),
    form=Heatmaps(),
    labels=("person",),
    provenance=COLOR_CARD.provenance,
    suppress=Suppress("none"),
    skeleton=SKELETON,
)


def image(*shape: int | None) -> list[Port]:
    return [Port("image", shape)]


def test_dense_networks_take_every_canvas_that_preprocessing_makes() -> None:
    shapes = profile(image(None, 3, None, None), EDGES, (1, 2, 4))
    # 640x480 becomes 800x1067, padded to 1088; the longest side is 1333, padded to 1344.
    assert shapes == {"image": ((1, 3, 32, 32), (2, 3, 800, 1088), (4, 3, 1344, 1344))}
    # As large as the image is, to 1280; sides become n | 127.
    shapes = profile(image(None, 3, None, None), KEPT)
    assert shapes == {"image": ((1, 3, 127, 127), (1, 3, 511, 767), (8, 3, 1407, 1407))}


def test_crops_have_one_size_and_any_number() -> None:
    assert profile(image(None, 3, 256, 192), CROPS)["image"] == ((1, 3, 256, 192), (1, 3, 256, 192), (8, 3, 256, 192))


def test_whole_images_grow_with_their_aspect_and_scale() -> None:
    place, form = Cover((512, 512), multiple=64), Tags(order=(0, 1), scales=(0.5, 1.0, 2.0))
    tags = replace(CROPS, inputs=(replace(CROPS.input, place=place),), form=form)
    smallest, usual, largest = profile(image(None, 3, None, None), tags)["image"]
    assert usual[2:] == place.whole((480, 640), 1.0, 0.5).canvas_size
    for size in ((480, 640), (640, 480), (500, 500), (1000, 500)):
        for scale in form.scales:
            canvas = place.whole(size, scale, 0.5).canvas_size
            assert all(low <= side <= high for low, side, high in zip(smallest[2:], canvas, largest[2:], strict=True))


def test_fixed_dimensions_stay() -> None:
    fixed = COLOR_CARD.with_place(Resize((128, 160), pad=Pad((128, 160))))
    assert profile(image(None, 3, 128, 160), fixed, (1, 1, 8))["image"][2] == (8, 3, 128, 160)
    assert profile(image(1, 3, 128, 160), fixed) == {}
    assert profile(image(1, 3, 96, 160), EDGES) == {}
    assert profile(image(1, 3, 127, 511), KEPT) == {}
    one_more = COLOR_CARD.with_place(Resize(pad=Pad(multiple=32, rule="or+1")))
    assert profile(image(1, 3, 128, 512), one_more) == {}
    assert profile(image(4, 3, None, None), EDGES)["image"][0] == (4, 3, 32, 32)


def test_every_input_has_its_own_shapes() -> None:
    sized = replace(COLOR_CARD, inputs=(EDGES.input, SizeInput()))
    ports = [Port("image_size", (None, 2)), Port("image", (None, 3, 256, None))]
    assert profile(ports, sized, (1, 2, 4)) == {
        "image": ((1, 3, 256, 32), (2, 3, 256, 1088), (4, 3, 256, 1344)),
        "image_size": ((1, 2), (2, 2), (4, 2)),
    }
    with pytest.raises(IncompatibleError, match="takes no such input as image_size, not n x 2; export it again"):
        profile(ports[1:], sized)


def test_contradictions_are_refused() -> None:
    with pytest.raises(UsageError, match="the file's batch is fixed at 2"):
        profile(image(2, 3, None, None), EDGES, (1, 1, 4))
    with pytest.raises(IncompatibleError, match=r"takes \?x3x128x160 and its Card makes canvases of 64x64 to 64x64"):
        profile(image(None, 3, 128, 160), COLOR_CARD)
    with pytest.raises(IncompatibleError, match=r"takes 1x3x96x100 and .* to 1344x1344 px, padded to 32; export"):
        profile(image(1, 3, 96, 100), EDGES)
    with pytest.raises(IncompatibleError, match=r"takes 1x3x128x255 and .* padded to 128; export"):
        profile(image(1, 3, 128, 255), KEPT)
    with pytest.raises(IncompatibleError, match="takes 1x5 as image, not n x 3x64x64; export it again"):
        profile(image(1, 5), COLOR_CARD)


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ("--min-batch 2 --opt-batch 1 --max-batch 4", "must not decrease"),
        ("--batch 2 --max-batch 4", "--batch 2 fixes --min"),
        ("--sm 89", "--sm is for --runtime tensorrt-rtx"),
        ("--runtime tensorrt-rtx --hw-compat", "--hw-compat is for --runtime tensorrt; TensorRT-RTX has no"),
        ("--runtime tensorrt-rtx --version-compat", "--version-compat is for --runtime tensorrt"),
        ("--runtime tensorrt-rtx --timing-cache t", "--timing-cache is for --runtime tensorrt"),
        ("--timing-cache .", ".: cannot be written; it is a folder; name a file in it"),
    ],
)
def test_flags_that_contradict_each_other_are_refused_before_the_work(
    flags: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(f"--model gfl_test --checkpoint random --format engine {flags}".split()) == 2
    assert problem in capsys.readouterr().err


def test_engine_flags_go_with_an_engine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model", "gfl_test", "--max-batch", "4"]) == 2
    assert "--max-batch goes with --format engine" in capsys.readouterr().err


@pytest.mark.skipif(importlib.util.find_spec("tensorrt") is not None, reason="TensorRT is installed")
def test_a_missing_runtime_is_told_before_the_export(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model", "gfl_test", "--checkpoint", "random", "--format", "engine"]) == 4
    said = capsys.readouterr().err
    assert said == "error: tensorrt is not installed; pip install 'detforge[tensorrt]'\n"


def test_a_missing_gpu_is_told_before_the_export(
    standin: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STANDIN_GPU", "")
    assert main(["--model", "gfl_test", "--checkpoint", "random", "--format", "engine"]) == 4
    assert capsys.readouterr().err.startswith("error: device cuda:0: CUDA finds no GPU here")


def test_a_gpu_that_the_runtime_does_not_know_is_told_before_the_export(
    standin: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = "--runtime tensorrt-rtx --sm 89,99"
    assert main(f"--model gfl_test --checkpoint random --format engine {flags}".split()) == 4
    known = "75, 80, 86, 89, 120, 121"
    assert capsys.readouterr().err == f"error: tensorrt-rtx 1.7.1.116 knows no SM 99; it knows {known}; see --sm\n"


def test_a_compute_capability_counts_once() -> None:
    parser = ArgumentParser()
    add_flags(parser)
    assert parser.parse_args(["--sm", "89,86,89"]).sm == ("89", "86")


@pytest.mark.slow
def test_too_small_a_workspace_is_told(standin: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = f"--model gfl_test --checkpoint random --verify off --imgsz 64 64 --batch 1 -o {tmp_path}/m.onnx"
    assert main([*line.split(), *"--format engine --workspace 1".split()]) == 5
    error = capsys.readouterr().err.splitlines()[-1]
    assert error == (
        f"error: {tmp_path}/m.onnx: no engine was built; tensorrt has no kernel for a layer within --workspace 1; "
        "raise it, or leave it out"
    )


def layers(*layers: tuple[str, str, str | None]) -> list[Layer]:
    """Layers of a kind, a precision and a plugin's operator."""
    return [
        Layer(f"layer{i}", kind, precision, None if plugin is None else (plugin, "1", "detforge"))
        for i, (kind, precision, plugin) in enumerate(layers)
    ]


def test_convolutions_wider_than_asked_for_are_an_error() -> None:
    network = layers(("CONVOLUTION", "HALF", None), ("CONVOLUTION", "FLOAT", None))
    check_layers(FILE, network, "fp32", Counter(), False)
    with pytest.raises(
        ExportError, match=r"m\.onnx: convolutions in fp32 where its Card says fp16; 1 of 2, layer1 for one"
    ):
        check_layers(FILE, network, "fp16", Counter(), False)
    with pytest.raises(ExportError, match="convolutions in fp16 where its Card says bf16; 1 of 1, layer0 for one"):
        check_layers(FILE, network[:1], "bf16", Counter(), False)
    with pytest.raises(ExportError, match="no convolution of the network is int8"):
        check_layers(FILE, network, "int8", Counter(), False)
    check_layers(FILE, [*network, *layers(("CONVOLUTION", "INT8", None))], "int8", Counter(), False)


def test_a_function_where_a_plugin_was_meant_is_an_error() -> None:
    file = Counter({"TopPool": 2})
    check_layers(FILE, layers(("PLUGIN_V3", "HALF", "TopPool"), ("PLUGIN_V3", "HALF", "TopPool")), "fp16", file, True)
    network = layers(("PLUGIN_V3", "HALF", "TopPool"), ("ELEMENTWISE", "HALF", None))
    with pytest.raises(ExportError, match="the network has 1 TopPool as plugins, the file 2 TopPool as nodes"):
        check_layers(FILE, network, "fp16", file, True)
    check_layers(FILE, layers(("ELEMENTWISE", "HALF", None)), "fp16", file, False)  # none of our plugins is installed


def test_what_the_inspector_says_is_read() -> None:
    said = [
        {
            "Name": "stem + relu",
            "LayerType": "CaskConvolution",
            "Inputs": [{"Name": "x", "Format/Datatype": "Channel major FP16 format where channel % 8 == 0"}],
            "Outputs": [{"Name": "y", "Format/Datatype": "Row major linear FP32"}],
        },
        {"Name": "quantised", "LayerType": "CaskConvolution", "Inputs": [{"Format/Datatype": "Row major Int8 format"}]},
        {"Name": "constant", "LayerType": "Constant", "Inputs": []},
        "only a name",
    ]
    found = engine_layers(json.dumps({"Layers": said}))
    assert [(layer.name, layer.kind, layer.precision) for layer in found] == [
        ("stem + relu", "CaskConvolution", "HALF"),
        ("quantised", "CaskConvolution", "INT8"),
        ("constant", "Constant", ""),
        ("only a name", "", ""),
    ]


def convolutions(path: Path) -> int:
    """How many convolutions a file has, its functions among them."""
    flat = onnx.inliner.inline_local_functions(onnx.load(path))
    return sum(node.op_type == "Conv" for node in flat.graph.node)


def run(tmp_path: Path, flags: str) -> tuple[Path, dict]:
    """detexport of a tiny network; the engine and its description."""
    line = f"--model gfl_test --checkpoint random --verify off --format engine -o {tmp_path}/m.onnx {flags}"
    assert main(line.split()) == 0
    return tmp_path / "m.engine", json.loads((tmp_path / "m.engine.json").read_text())


@pytest.mark.slow
def test_an_engine_of_the_stand_in(standin: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = "--hw-compat --version-compat --weight-streaming --workspace 512 --max-batch 4 --timing-cache"
    engine, described = run(tmp_path, f"--fp16 {flags} {tmp_path}/timings")
    out = capsys.readouterr().out
    assert f"convolutions: {convolutions(tmp_path / 'm.onnx')} HALF" in out
    plan = engine.read_bytes()
    asked = json.loads(plan[19 : 19 + int.from_bytes(plan[11:19], "little")])
    assert set(asked["flags"]) == {"VERSION_COMPATIBLE", "WEIGHT_STREAMING"}
    assert asked["workspace"] == 512 << 20
    assert asked["hardware"] == "AMPERE_PLUS"
    assert described["version"] == "11.4.0.106" and described["sm"] == ["86"]
    assert described["profile"]["image"][2][0] == 4
    assert described["precisions"]["CONVOLUTION"] == {"HALF": convolutions(tmp_path / "m.onnx")}
    assert described["card"]["model"] == "gfl_test"
    assert any(layer["kind"] == "Convolution" and layer["precision"] == "HALF" for layer in described["engine_layers"])
    assert (tmp_path / "timings").read_bytes() == b"timings"


rtx = pytest.mark.skipif(importlib.util.find_spec("tensorrt_rtx") is None, reason="tensorrt-rtx is not installed")


@pytest.mark.slow
@rtx
@pytest.mark.parametrize(
    ("precision", "kind"), [pytest.param("fp32", "FLOAT", marks=pytest.mark.long), ("fp16", "HALF")]
)
def test_a_real_engine(precision: str, kind: str, tmp_path: Path) -> None:
    engine, described = run(tmp_path, f"--precision {precision} --runtime tensorrt-rtx --sm 86,89 --max-batch 2")
    assert engine.stat().st_size > 100_000
    assert described["sm"] == ["86", "89"]
    assert described["precisions"]["CONVOLUTION"] == {kind: convolutions(tmp_path / "m.onnx")}
    nodes = [node.op_type for node in onnx.load(tmp_path / "m.onnx").graph.node if node.domain == "detforge"]
    if described["plugins"] is not None:
        assert {x["name"]: x["layers"] for x in described["plugins"]["operators"]} == Counter(nodes)


@pytest.mark.slow
@rtx
@pytest.mark.skipif(plugin_library() is None, reason="libdetforge_trt was not built: no nvcc")
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("shape", ["--imgsz 128 128 --batch 1", pytest.param("--max-batch 2", marks=pytest.mark.long)])
def test_a_real_engine_that_suppresses(shape: str, precision: str, tmp_path: Path) -> None:
    flags = f"--precision {precision} --nms graph --max-det 5 --runtime tensorrt-rtx --sm 89 {shape}"
    engine, described = run(tmp_path, flags)
    assert engine.stat().st_size > 100_000
    found = {x["name"]: x["layers"] for x in described["plugins"]["operators"]}
    assert found == {"DflBoxes": 1, "Nms": 1}
    assert described["precisions"]["CONVOLUTION"] == {
        "FLOAT" if precision == "fp32" else "HALF": convolutions(tmp_path / "m.onnx")
    }


@pytest.mark.slow
@rtx
def test_what_it_cannot_build_is_told_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("detforge.deploy.engine.build.plugin_library", lambda: None)
    flags = "--nms graph --imgsz 128 128 --batch 1 --max-det 5 --runtime tensorrt-rtx --sm 89"
    line = f"--model gfl_test --checkpoint random --verify off --format engine -o {tmp_path}/m.onnx {flags}"
    assert main(line.split()) == 5
    error = capsys.readouterr().err.splitlines()[-1]
    assert "no engine was built; tensorrt-rtx cannot build this network: " in error  # it has no NonMaxSuppression
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
