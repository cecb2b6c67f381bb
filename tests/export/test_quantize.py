"""Eight bits: where codes are put, which steps weights have, what is left in floating point, and whole exports."""

import json
import re
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from detforge.deploy.backends.ort import OrtBackend
from detforge.deploy.card import METADATA_KEY, Card
from detforge.deploy.system.errors import ExportError, InputError, UsageError
from detforge.export import export, verify_ap
from detforge.export.calibrate import best_scale
from detforge.export.cli import main
from detforge.export.photographs import make_up
from detforge.export.quantize import convolutions, quantize
from detforge.models.checkpoint import random_model
from detforge.models.zoo import find
from detforge.plugins.operators import FUNCTIONS

pytestmark = pytest.mark.slow

FLAVORS = ("cpu", "tensorrt")
RNG = np.random.default_rng(0)
FEEDS = [{"image": RNG.normal(0, 1, (1, 8, 16, 16)).astype(np.float32)} for _ in range(4)]
WEIGHTS = {
    "first": RNG.normal(0, 0.3, (8, 8, 3, 3)),
    "offset": RNG.normal(0, 0.1, (18, 8, 3, 3)),
    "shared": RNG.normal(0, 0.2, (8, 8, 1, 1)),
    "last": RNG.normal(0, 0.2, (4, 8, 1, 1)),
    "bias": RNG.normal(0, 0.5, 8),
    "deform": RNG.normal(0, 0.2, (8, 8, 3, 3)),
}


def conv(name: str, *inputs: str, pad: int = 0) -> onnx.NodeProto:
    return helper.make_node("Conv", inputs, [f"{name}_y"], name=name, pads=[pad] * 4)


def network(dtype: int = TensorProto.FLOAT) -> onnx.ModelProto:
    """image > first > ReLU > deform, by offsets of its own > shared > add ReLU's > shared > last > sigmoid."""
    geometry = {"strides": [1, 1], "pads": [1, 1, 1, 1], "dilations": [1, 1], "group": 1, "offset_group": 1}
    nodes = [
        helper.make_node("Cast", ["image"], ["x"], to=dtype),
        conv("first", "x", "first_w", "bias_w", pad=1),
        helper.make_node("Relu", ["first_y"], ["a"]),
        conv("offset", "a", "offset_w", pad=1),
        helper.make_node("DeformConv", ["a", "offset_y", "deform_w", "bias_w"], ["b"], domain="detforge", **geometry),
        conv("once", "b", "shared_w", "bias_w"),
        helper.make_node("Add", ["once_y", "a"], ["c"]),
        conv("again", "c", "shared_w"),
        conv("last", "again_y", "last_w"),
        helper.make_node("Sigmoid", ["last_y"], ["s"]),
        helper.make_node("Cast", ["s"], ["scores"], to=TensorProto.FLOAT),
    ]
    numbers = np.float16 if dtype == TensorProto.FLOAT16 else np.float32
    constants = [numpy_helper.from_array(value.astype(numbers), f"{name}_w") for name, value in WEIGHTS.items()]
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 4, 16, 16])
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 8, 16, 16])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("detforge", 1)]
    graph = helper.make_graph(nodes, "g", [image], [scores], constants)
    return helper.make_model(graph, ir_version=10, opset_imports=opsets, functions=[FUNCTIONS["DeformConv"]])


def quantized(flavor: str) -> onnx.ModelProto:
    made = network(TensorProto.FLOAT16 if flavor == "tensorrt" else TensorProto.FLOAT)
    assert quantize(made, flavor, FEEDS, len(FEEDS)) == ("first", "once", "again")
    onnx.checker.check_model(made, full_check=True)
    return made


def run(tmp_path: Path, made: onnx.ModelProto) -> np.ndarray:
    path = tmp_path / "m.onnx"
    path.write_bytes(made.SerializeToString())
    backend = OrtBackend(str(path))
    return np.concatenate([backend.run(feed)["scores"] for feed in FEEDS])


def makers(made: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    return {name: node for node in made.graph.node for name in node.output}


def test_last_and_offset_convolutions_stay_out() -> None:
    for flavor in FLAVORS:
        assert [node.name for node in convolutions(network(), flavor)] == ["first", "once", "again"]


def test_few_channels_stay_out_on_a_cpu() -> None:
    made = network()
    (weight,) = [tensor for tensor in made.graph.initializer if tensor.name == "first_w"]
    weight.CopyFrom(numpy_helper.from_array(WEIGHTS["first"][:, :3].astype(np.float32), "first_w"))
    assert [node.name for node in convolutions(made, "cpu")] == ["once", "again"]
    assert [node.name for node in convolutions(made, "tensorrt")] == ["first", "once", "again"]
    node = next(node for node in made.graph.node if node.name == "first")
    node.attribute.append(helper.make_attribute("group", 8))  # of each channel alone, but of many
    assert [node.name for node in convolutions(made, "cpu")] == ["first", "once", "again"]


@pytest.mark.parametrize("flavor", FLAVORS)
def test_placement(flavor: str) -> None:
    made = quantized(flavor)
    made_by, nodes = makers(made), {node.name: node for node in made.graph.node}
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in made.graph.initializer}
    kind = np.uint8 if flavor == "cpu" else np.int8
    for name in ("first", "once", "again"):
        values = made_by[nodes[name].input[0]]
        assert values.op_type == "DequantizeLinear"
        assert made_by[values.input[0]].op_type == "QuantizeLinear"
        assert constants[values.input[2]].dtype == kind
        assert flavor == "cpu" or constants[values.input[2]] == 0
        weight = made_by[nodes[name].input[1]]
        assert (weight.op_type, constants[weight.input[0]].dtype) == ("DequantizeLinear", np.int8)
        assert constants[weight.input[1]].shape == (8,)
    assert nodes["once"].input[1] == nodes["again"].input[1]
    assert [nodes[name].input[1] for name in ("offset", "last")] == ["offset_w", "last_w"]
    readers = Counter(node.op_type for node in made.graph.node for name in node.input if name in ("once_y", "a"))
    if flavor == "cpu":  # whatever a quantised convolution gives is read as codes
        assert readers == {"QuantizeLinear": 2}
        assert nodes["offset"].input[0] == "a/values"
        assert constants[made_by[nodes["first"].input[2]].input[0]].dtype == np.int32
    else:
        assert readers == {"Conv": 1, "Add": 2, "DeformConv": 1}
        assert nodes["first"].input[2] == "bias_w"
    types = {tensor.data_type for tensor in made.graph.initializer if tensor.name.endswith("/step")}
    assert types == {TensorProto.FLOAT if flavor == "cpu" else TensorProto.FLOAT16}


@pytest.mark.parametrize("flavor", FLAVORS)
def test_steps_are_those_of_the_weights(flavor: str) -> None:
    made = quantized(flavor)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in made.graph.initializer}
    limit = 64 if flavor == "cpu" else 127
    for name in ("first_w", "shared_w"):
        original = WEIGHTS[name.removesuffix("_w")]
        step, codes = constants[f"{name}/step"].astype(np.float64), constants[f"{name}/codes"]
        np.testing.assert_allclose(step, np.abs(original).max((1, 2, 3)) / limit, rtol=1e-2)
        assert np.abs(codes).max((1, 2, 3)).tolist() == [limit] * 8
        error = np.abs(codes * step[:, None, None, None] - original)
        assert (error <= step[:, None, None, None] * 0.6 + 1e-3).all()
    if flavor == "cpu":
        step = constants["x/step"] * constants["first_w/step"].astype(np.float64)
        assert (np.abs(constants["first/bias/codes"] * step - WEIGHTS["bias"]) <= 0.51 * step).all()


@pytest.mark.parametrize("flavor", FLAVORS)
def test_result_is_near(flavor: str, tmp_path: Path) -> None:
    wanted, got = run(tmp_path, network()), run(tmp_path, quantized(flavor))
    assert np.corrcoef(wanted.ravel(), got.ravel())[0, 1] > 0.999
    assert 0 < np.abs(wanted - got).max() < 0.05


def test_integer_convolutions_run(tmp_path: Path) -> None:
    """ONNX Runtime takes every convolution that is quantised as its integer one."""
    import onnxruntime

    path, optimized = tmp_path / "m.onnx", tmp_path / "optimized.onnx"
    report = export("gfl_test", checkpoint="random", verify="off", output=path, **int8(tmp_path))
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(optimized), 4
    onnxruntime.InferenceSession(str(report.path), options, providers=["CPUExecutionProvider"])
    kinds = Counter(node.op_type for node in onnx.load(optimized).graph.node)
    nodes = onnx.load(path).graph.node
    assert kinds["QLinearConv"] == sum(n.op_type == "Conv" and n.input[1].endswith("/values") for n in nodes) > 20


def test_a_dead_channel_with_a_large_bias_keeps_it(tmp_path: Path) -> None:
    """Its weights are so small that the bias does not fit 32 bits in their step."""
    made = network()
    for tensor in made.graph.initializer:
        if tensor.name in ("first_w", "bias_w"):
            value = numpy_helper.to_array(tensor).copy()
            value[0] = 1e-9 if tensor.name == "first_w" else 30.0
            tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    wanted = run(tmp_path, made)
    quantize(made, "cpu", FEEDS, len(FEEDS))
    assert np.abs(run(tmp_path, made) - wanted).max() < 0.1


def test_values_that_are_not_finite_are_told() -> None:
    with pytest.raises(InputError, match="is not finite on an image"):
        quantize(network(), "cpu", [{"image": np.full((1, 8, 16, 16), np.inf, np.float32)}], 1)


def test_nothing_to_quantise() -> None:
    made = network()
    kept = [node for node in made.graph.node if node.op_type == "Cast"][:1]
    del made.graph.node[:]
    made.graph.node.extend(kept)
    made.graph.output[0].name = "x"
    with pytest.raises(ExportError, match="no convolution"):
        quantize(made, "cpu", FEEDS, 1)


def int8(folder: Path, **others: object) -> dict[str, object]:
    """The arguments of a small export in int8."""
    (images := folder / "calib").mkdir(exist_ok=True)
    for i in range(3):
        cv2.imwrite(str(images / f"{i}.png"), make_up((64, 96), i))
    return {"precision": "int8", "calib": images, "imgsz": (128, 160), "batch": 1, **others}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of gfl_test whose scores differ; at the start of a training all are near 0.01."""
    state = random_model(find("gfl_test")).state_dict()
    for key, value in state.items():
        if key.startswith("bbox_head.") and value.ndim == 4:
            value *= 3
    state["bbox_head.gfl_cls.bias"] += 3.5
    torch.save(state, path := tmp_path_factory.mktemp("weights") / "lively.pth")
    return path


@pytest.mark.parametrize("runtime", ["ort", "tensorrt"])
def test_export_passes_its_verification(weights: Path, runtime: str, tmp_path: Path) -> None:
    report = export("gfl_test", checkpoint=str(weights), output=tmp_path / "m.onnx", **int8(tmp_path, runtime=runtime))
    card = Card.from_json(OrtBackend(str(report.path)).metadata[METADATA_KEY])
    assert card.provenance.precision == "int8"
    assert card.provenance.parity.cosine > 0.95
    assert card.provenance.parity.detections > 20
    zeros = {tensor.data_type for tensor in onnx.load(report.path).graph.initializer if tensor.name.endswith("/zero")}
    cpu = {TensorProto.UINT8, TensorProto.INT8, TensorProto.INT32}
    assert zeros == (cpu if runtime == "ort" else {TensorProto.INT8})


def test_onnx_runtime_runs_files_for_tensorrt_as_they_are(weights: Path, tmp_path: Path) -> None:
    """By itself it gives fp16's biases codes whose steps fp16 cannot hold, and boxes are 20 px off."""
    given = int8(tmp_path, runtime="tensorrt")
    path = str(export("gfl_test", checkpoint=str(weights), output=tmp_path / "m.onnx", verify="off", **given).path)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    image = RNG.normal(0, 1, (1, 3, 128, 160)).astype(np.float32)
    plain = onnxruntime.InferenceSession(path, options).run(["boxes"], {"image": image})[0]
    np.testing.assert_allclose(OrtBackend(path).run({"image": image})["boxes"], plain, atol=2)


def test_what_random_weights_find_is_no_reason_to_reject(tmp_path: Path) -> None:
    given = int8(tmp_path) | {"imgsz": (127, 127)}
    report = export("cornernet_test", checkpoint="random", output=tmp_path / "m.onnx", runtime="tensorrt", **given)
    assert report.comparison is not None and report.comparison.tolerance.match_rate == 0


def test_broken_codes_are_rejected(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file whose steps are wrong by far does not get its name."""
    from detforge.export import quantize as module

    monkeypatch.setattr(module, "best_scale", lambda samples, *rest: best_scale(samples * 50, *rest))
    folder = int8(tmp_path)["calib"]
    line = f"--model gfl_test --checkpoint {weights} --int8 --calib {folder} --imgsz 128 160 --batch 1 -o"
    assert main([*line.split(), str(tmp_path / "m.onnx")]) == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["calib", "m.rejected.onnx"]


def test_change_of_ap_is_measured_and_gates(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = int8(tmp_path)["calib"]
    boxes = [{"image_id": i, "category_id": 0, "bbox": [8, 8, 40, 40], "id": i + 1} for i in range(3)]
    files = [{"id": i, "file_name": f"{i}.png"} for i in range(3)]
    truth = {"images": files, "annotations": boxes, "categories": [{"id": 0, "name": "person"}]}
    (folder / "annotations.json").write_text(json.dumps(truth))
    line = (
        f"--model gfl_test --checkpoint {weights} --int8 --calib {folder} --imgsz 128 160 --batch 1 --images {folder}"
    )
    assert main([*line.split(), "-o", str(tmp_path / "m.onnx")]) == 0
    captured = capsys.readouterr()
    assert re.search(r"AP: PyTorch [0-9.]+, the file [0-9.]+ \([+-][0-9.]+\)", captured.out)
    steps = [step.rsplit(None, 2)[0] for step in captured.err.splitlines()]
    assert steps == ["checkpoint", "export", "calibrate", "verify", "AP, PyTorch", "AP, file"]
    values = iter([50.0, 48.0])
    monkeypatch.setattr(verify_ap, "_measure", lambda *_: next(values))
    assert main([*line.split(), "-o", str(tmp_path / "m.onnx")]) == 6
    assert "AP falls from 50.0 to 48.0" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, [], ["broken.jpg"], ["clip.mp4"]])
def test_bad_calibration_images(
    content: list[str] | None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / "calib").mkdir()
        for name in content:
            (tmp_path / "calib" / name).write_bytes(b"no picture")
    line = "--model gfl_test --checkpoint random --int8 --calib calib --imgsz 64 64 --batch 1"
    assert main(line.split()) == 3
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert "calib" in error


def test_flags(tmp_path: Path) -> None:
    for wrong in ({"calib": tmp_path}, {"precision": "int8"}, {"precision": "int8", "calib": tmp_path, "calib_n": 0}):
        with pytest.raises(UsageError):
            export("gfl_test", checkpoint="random", output=tmp_path / "m.onnx", **wrong)
