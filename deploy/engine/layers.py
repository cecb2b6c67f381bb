"""What a network consists of, layer by layer, as it was parsed and as it became an engine."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..system.errors import ExportError

_CONVOLUTIONS = ("CONVOLUTION", "DECONVOLUTION")
# What a layer of each precision calculates in; a quantised one may leave others, and heads, in floating point.
_WIDER = {"fp32": frozenset[str](), "fp16": frozenset({"FLOAT"}), "bf16": frozenset({"FLOAT", "HALF"})}
_NAMES = {"FLOAT": "fp32", "HALF": "fp16"}


@dataclass(frozen=True)
class Layer:
    """A layer's name, its kind, the type that it calculates in, and of a plugin the operator, version and namespace."""

    name: str
    kind: str
    precision: str
    plugin: tuple[str, str, str] | None = None


def parsed_layers(trt: Any, network: Any) -> list[Layer]:
    """The layers of a network that the parser made."""
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    dequantized = {
        layer.get_output(0).name: layer.get_input(0).dtype.name
        for layer in layers
        if layer.type == trt.LayerType.DEQUANTIZE
    }
    return [_parsed(trt, layer, dequantized) for layer in layers]


def _parsed(trt: Any, layer: Any, dequantized: dict[str, str]) -> Layer:
    kind, name, plugin = layer.type.name, layer.name, None
    precision = layer.get_output(0).dtype.name if layer.num_outputs else ""
    if kind in _CONVOLUTIONS:
        # Between a dequantisation and what it feeds, TensorRT calculates in the type before it.
        precision = dequantized.get(layer.get_input(0).name, precision)
    if layer.type == trt.LayerType.PLUGIN_V3:
        layer.__class__ = trt.IPluginV3Layer  # the bindings' way to a layer's own members
        core = layer.plugin.get_capability_interface(trt.PluginCapabilityType.CORE)
        plugin = (core.plugin_name, core.plugin_version, core.plugin_namespace)
    return Layer(name, kind, precision, plugin)


_FORMATS = (("INT8", "Int8"), ("FP8", "FP8"), ("BF16", "BF16|BFloat16"), ("HALF", "FP16|Half"), ("FLOAT", "FP32|Float"))


def engine_layers(information: str) -> list[Layer]:
    """The layers of a built engine, from what its inspector says in JSON."""
    found: list[Layer] = []
    told: list[Any] = json.loads(information)["Layers"]
    for layer in told:
        if isinstance(layer, str):  # an engine that was built without details
            found.append(Layer(layer, "", ""))
            continue
        inputs: list[Any] = layer.get("Inputs", [])
        said = str(inputs[0].get("Format/Datatype", "")) if inputs else ""
        precision = next((name for name, pattern in _FORMATS if re.search(pattern, said)), "")
        found.append(Layer(layer.get("Name", ""), layer.get("LayerType", ""), precision))
    return found


def count_precisions(layers: Iterable[Layer]) -> dict[str, dict[str, int]]:
    """Of each kind of layer, how many calculate in each type."""
    counts: dict[str, Counter[str]] = {}
    for layer in layers:
        counts.setdefault(layer.kind, Counter())[layer.precision] += 1
    return {kind: dict(count) for kind, count in sorted(counts.items())}


def plugins_of(layers: Iterable[Layer]) -> Counter[str]:
    """How many layers each of our operators has as a plugin."""
    return Counter(layer.plugin[0] for layer in layers if layer.plugin is not None)


def check_layers(
    path: Path, layers: Iterable[Layer], precision: str, operators: Counter[str], with_plugins: bool
) -> None:
    """ExportError unless the network is of its file's precision, and every operator of ours became its plugin."""
    layers = list(layers)
    convolutions = [layer for layer in layers if layer.kind in _CONVOLUTIONS]
    if precision == "int8":
        if convolutions and not any(layer.precision == "INT8" for layer in convolutions):
            raise ExportError(f"{path}: no convolution of the network is int8, as its Card says; export it again")
    elif wide := [layer.name for layer in convolutions if layer.precision in _WIDER[precision]]:
        wider = sorted({layer.precision for layer in convolutions} & _WIDER[precision])[0]
        which = f"convolutions in {_NAMES[wider]} where its Card says {precision}"
        raise ExportError(f"{path}: {which}; {len(wide)} of {len(convolutions)}, {wide[0]} for one; report it")
    if with_plugins and operators != (found := plugins_of(layers)):
        which = f"the network has {_told(found)} as plugins, the file {_told(operators)} as nodes"
        raise ExportError(f"{path}: {which}; report it")


def _told(count: Counter[str]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(count.items())) or "nothing"
