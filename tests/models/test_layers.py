"""Weights without names find their places in a network, or are refused."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from detforge.deploy.system.errors import InputError
from detforge.models.checkpoint import fits, load_variant, read_checkpoint
from detforge.models.zoo import find

EPS = 1e-3
COUNT = 7
Change = Callable[[onnx.GraphProto], None]


class Branches(nn.Module):
    """A stem and two branches that only differ in their last layers, one of which has a bias."""

    def __init__(self, classes: int, *, scale: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(4, eps=EPS)
        self.first, self.second = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
        self.classes, self.boxes = nn.Conv2d(4, classes, 1), nn.Conv2d(4, 4, 1, bias=False)
        self.scale = nn.Parameter(torch.ones(1)) if scale else None

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        x = torch.relu(self.norm(self.stem(image)))
        first, second = torch.relu(self.first(x)), torch.relu(self.second(x))
        boxes = [self.boxes(nn.functional.interpolate(part, size=x.shape[2:])) for part in (second, first[:, :, ::2])]
        return {"scores": self.classes(first), "boxes": torch.cat(boxes, 1)}


VARIANT = replace(find("gfl_test"), build=Branches, classes_key="classes.weight", labels=("a",) * COUNT)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    model = Branches(5).eval()
    with torch.no_grad():
        for value in (model.norm.weight, model.norm.bias, model.norm.running_mean, model.norm.running_var):
            value.copy_(torch.rand(4) + 0.5)
    return model


def graph_of(model: nn.Module, *, folded: bool) -> onnx.ModelProto:
    """An export as another framework might write it: without most names, and with the second branch first."""
    state = {key: value.double().numpy() for key, value in model.state_dict().items()}
    nodes: list[onnx.NodeProto] = []
    weights: dict[str, Any] = {}

    def node(kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))

    def convolution(key: str, source: str, output: str, name: str, **attributes: Any) -> None:
        weight, bias = state[f"{key}.weight"], state.get(f"{key}.bias")
        if key == "stem" and folded:
            factor = state["norm.weight"] / np.sqrt(state["norm.running_var"] + EPS)
            weight = weight * factor[:, None, None, None]
            bias = state["norm.bias"] - state["norm.running_mean"] * factor
        weights[name] = weight
        if bias is not None:
            weights[f"{name}b"] = bias
        node("Conv", [source, name, *([] if bias is None else [f"{name}b"])], output, **attributes)

    convolution("stem", "image", "s", "11", strides=[2, 2], pads=[1, 1, 1, 1])
    if not folded:
        parts = {"weight": "g", "bias": "h", "running_mean": "m", "running_var": "v"}
        weights |= {name: state[f"norm.{part}"] for part, name in parts.items()}
        node("BatchNormalization", ["s", *parts.values()], "n", epsilon=EPS)
    node("Relu", ["s" if folded else "n"], "x")
    node("Shape", ["x"], "size")  # as for a resize to the size of the stem
    for key, number in (("second", "12"), ("first", "13")):
        convolution(key, "x", key, number)
        node("Relu", [key], f"{key}r")
        node("Resize", [f"{key}r", "", "", "size"], f"{key}u")
        convolution("boxes", f"{key}u", f"{key}b", "14")
    convolution("classes", "firstr", "c", "classes.weight")
    node("Concat", ["secondb", "firstb"], "b", axis=1)
    tensors = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    ports = [[helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in names] for names in (["image"], "cb")]
    return helper.make_model(helper.make_graph(nodes, "g", *ports, tensors))


def saved(path: Path, model: onnx.ModelProto) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


def refusal(path: Path, **changes: Any) -> str:
    with pytest.raises(InputError) as caught:
        load_variant(replace(VARIANT, **changes), read_checkpoint(path))
    message = str(caught.value)
    assert path.name in message
    assert message.count("; ") >= 2
    assert "\n" not in message
    return message


@pytest.mark.parametrize("folded", [True, False])
def test_an_export_gives_the_same_network(network: nn.Module, tmp_path: Path, folded: bool) -> None:
    """Five classes, where the variant has seven."""
    checkpoint = read_checkpoint(saved(tmp_path / "a.onnx", graph_of(network, folded=folded)))
    assert fits(VARIANT, checkpoint)
    model = load_variant(VARIANT, checkpoint)
    image = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        for name, value in network(image).items():
            torch.testing.assert_close(model(image)[name], value, rtol=1e-5, atol=1e-5)


def test_arrays_in_their_order_give_the_same_network(network: nn.Module, tmp_path: Path) -> None:
    graph = graph_of(network, folded=True).graph
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    calls = ["11", "13", "12", "14", "classes.weight"]  # the order of `forward`
    named = {f"Conv_{i}.weight": arrays[name] for i, name in enumerate(calls)}
    named |= {f"Conv_{i}.bias": arrays[f"{name}b"] for i, name in enumerate(calls) if f"{name}b" in arrays}
    np.savez(tmp_path / "a.npz", **named)
    model = load_variant(VARIANT, read_checkpoint(tmp_path / "a.npz"))
    image = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        for name, value in network(image).items():
            torch.testing.assert_close(model(image)[name], value, rtol=1e-5, atol=1e-5)


def test_arrays_in_another_order_are_refused(network: nn.Module, tmp_path: Path) -> None:
    graph = graph_of(network, folded=True).graph
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    calls = ["classes.weight", "13", "12", "14", "11"]
    np.savez(tmp_path / "a.npz", **{f"Conv_{i}.weight": arrays[name] for i, name in enumerate(calls)})
    assert "'Conv_0.weight' has shape (5, 4, 1, 1), not (4, 3, 3, 3)" in refusal(tmp_path / "a.npz")


def crossed(graph: onnx.GraphProto) -> None:
    """Both branches read the same layer."""
    next(node for node in graph.node if node.output[0] == "first").input[0] = "secondr"


def outside(graph: onnx.GraphProto) -> None:
    graph.initializer[0].data_location = TensorProto.EXTERNAL


def biased(graph: onnx.GraphProto) -> None:
    graph.initializer.append(numpy_helper.from_array(np.ones(4, np.float32), "more"))
    for node in graph.node:
        if node.input[1:] == ["14"]:
            node.input.append("more")


def missing(graph: onnx.GraphProto) -> None:
    del graph.node[-2]


def without(graph: onnx.GraphProto) -> None:
    del graph.node[:]


REFUSED: dict[str, tuple[Change, str]] = {
    "crossed": (crossed, "its convolutions are connected in another way"),
    "outside": (outside, "'11' is in another file; save the model as one file"),
    "a bias": (biased, "'14' has a bias, which the network does not have there"),
    "too few": (missing, "its 5 convolutions are not those of gfl_test"),
    "none": (without, "without convolutions"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_graphs_are_refused(network: nn.Module, tmp_path: Path, name: str) -> None:
    change, reason = REFUSED[name]
    proto = graph_of(network, folded=True)
    change(proto.graph)
    assert reason in refusal(saved(tmp_path / "a.onnx", proto))


def test_weights_beside_convolutions_are_refused(network: nn.Module, tmp_path: Path) -> None:
    path = saved(tmp_path / "a.onnx", graph_of(network, folded=True))
    reason = "scale is no weight of a convolution; give the checkpoint itself"
    assert reason in refusal(path, build=lambda classes: Branches(classes, scale=True))


def test_a_layer_that_could_be_one_of_several_is_refused(tmp_path: Path) -> None:
    class Twins(nn.Module):
        def __init__(self, classes: int) -> None:
            super().__init__()
            self.classes, self.quality = nn.Conv2d(3, classes, 1), nn.Conv2d(3, 1, 1)

        def forward(self, image: Tensor) -> list[Tensor]:
            return [self.classes(image), self.quality(image)]

    def proto(names: tuple[str, str]) -> onnx.ModelProto:
        nodes = [helper.make_node("Conv", ["image", name], [f"o{name}"]) for name in names]
        tensors = [numpy_helper.from_array(np.full((1, 3, 1, 1), i, np.float32), n) for i, n in enumerate(names, 1)]
        return helper.make_model(helper.make_graph(nodes, "g", [], [], tensors))

    unnamed = saved(tmp_path / "a.onnx", proto(("1", "2")))
    assert "'1' could be one of several layers" in refusal(unnamed, build=Twins, labels=("a",))
    names = ("quality.weight", "classes.weight")
    named = read_checkpoint(saved(tmp_path / "b.onnx", proto(names)))
    model = load_variant(replace(VARIANT, build=Twins, labels=("a",)), named)
    assert [float(model.state_dict()[name][0, 0]) for name in names] == [1, 2]


def damaged(data: bytes) -> Iterator[bytes]:
    yield data[: len(data) // 2]
    yield b""
    yield b"\x08" * 64
    yield data.replace(b"Conv", b"\xff\xff\xff\xff")


def test_damaged_files_are_refused(network: nn.Module, tmp_path: Path) -> None:
    for data in damaged(graph_of(network, folded=True).SerializeToString()):
        (tmp_path / "a.onnx").write_bytes(data)
        with pytest.raises(InputError, match="not a usable checkpoint"):
            read_checkpoint(tmp_path / "a.onnx")
