"""Builds the models of a folder with TensorRT-RTX, no GPU needed: python build_rtx.py FOLDER [LIBRARY of plugins].

NAME.onnx comes with NAME.shapes.json, its inputs' shapes, which are the profile of those that it leaves open, and gives
NAME.built.json: the parser's problems, the network's layers, its output's shape and type, and the engine's bytes. A
layer is named by its type, a plugin by the operator, too, and a GridSample by its interpolation.
"""

import json
import sys
from pathlib import Path
from typing import Any

import tensorrt_rtx as trt


def main(folder: Path, library: str | None) -> None:
    """Build every file."""
    builder = trt.Builder(trt.Logger(trt.Logger.ERROR))  # also brings the registry a logger
    if library is not None:
        assert trt.get_plugin_registry().load_library(library) is not None
    for path in sorted(folder.glob("*.onnx")):
        shapes = json.loads(path.with_suffix(".shapes.json").read_text())
        path.with_suffix(".built.json").write_text(json.dumps(build(builder, path.read_bytes(), shapes)))


def build(builder: Any, model: bytes, shapes: dict[str, list[int]]) -> dict[str, Any]:
    """Parse one file and build its engine for one architecture."""
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, builder.logger)
    parser.parse(model)
    problems = [parser.get_error(i).desc() for i in range(parser.num_errors)]
    if problems:
        return {"problems": problems}
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM89, 0)
    if free := [given for given in map(network.get_input, range(network.num_inputs)) if -1 in given.shape]:
        profile = builder.create_optimization_profile()
        for given in free:
            shape = shapes[given.name]
            # Bounds are each tensor's own: the largest need not fit each other.
            most = 2 * shape[0] if given.shape[0] == -1 else shape[0]
            profile.set_shape(given.name, shape, shape, [most, *shape[1:]])
        config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, config)
    output = network.get_output(0)
    return {
        "problems": [],
        "layers": [named(network.get_layer(i)) for i in range(network.num_layers)],
        "output": [list(output.shape), output.dtype.name],
        "engine": 0 if engine is None else engine.nbytes,
    }


def named(layer: Any) -> str:
    """What a layer is."""
    if layer.type == trt.LayerType.GRID_SAMPLE:
        layer.__class__ = trt.IGridSampleLayer  # the bindings' way to a layer's own members
        return f"GRID_SAMPLE {layer.interpolation_mode.name}"
    if layer.type != trt.LayerType.PLUGIN_V3:
        return layer.type.name
    layer.__class__ = trt.IPluginV3Layer
    return f"PLUGIN_V3 {layer.plugin.get_capability_interface(trt.PluginCapabilityType.CORE).plugin_name}"


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
