"""An exported file to a TensorRT engine: the plan, and beside it what it is."""

import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import onnx

from ..deploy.backends.tensorrt import Build, BuildOptions, Runtime, Sizes, build, require
from ..deploy.card import Card
from ..deploy.errors import ExportError, UsageError
from ..deploy.files import replacing, write_text
from ..deploy.preprocess import frame_for
from ..plugins.core.node import DOMAIN

_LARGEST_KEPT = 1280  # px, of images whose size preprocessing keeps


@dataclass(frozen=True)
class EngineOptions:
    """What the user asks of an engine; `batch` is the smallest, the usual and the largest."""

    runtime: Runtime = "tensorrt"
    sm: tuple[str, ...] = ()
    batch: tuple[int, int, int] = (1, 1, 8)
    timing_cache: Path | None = None
    hw_compat: bool = False
    version_compat: bool = False


def check_options(options: EngineOptions) -> None:
    """UsageError for options that contradict themselves, IncompatibleError where the runtime is not installed."""
    smallest, usual, largest = options.batch
    if not smallest <= usual <= largest:
        raise UsageError(f"--min-batch {smallest}, --opt-batch {usual} and --max-batch {largest} are not in order")
    if options.sm and options.runtime != "tensorrt-rtx":
        raise UsageError("--sm is for --runtime tensorrt-rtx; TensorRT builds for the GPU here; see --hw-compat")
    require(options.runtime)


def build_engine(path: Path, card: Card, options: EngineOptions) -> Path:
    """Build FILE.engine and its description FILE.engine.json from FILE.onnx; gives the engine's path.

    Raises IncompatibleError without the runtime, UsageError for options that contradict the file, ExportError when the
    network cannot be built or is not what was asked for.
    """
    proto = onnx.ModelProto.FromString(path.read_bytes())
    request = BuildOptions(
        options.runtime,
        profile(proto, card, options.batch),
        options.sm,
        None if options.timing_cache is None else str(options.timing_cache),
        options.hw_compat,
        options.version_compat,
    )
    engine = path.with_suffix(".engine")
    with replacing(engine) as temporary:
        built = build(path, temporary, request)
        check(built, proto, card)
    description = {
        "card": asdict(card),
        "onnx_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "build": asdict(request) | {"version": built.version},
        "plugins": _plugins(built),
        "layers": [asdict(layer) for layer in built.layers],
        "precisions": Counter(layer.precision for layer in built.layers),
    }
    write_text(engine.with_name(engine.name + ".json"), json.dumps(description, indent=1) + "\n")
    return engine


def profile(proto: onnx.ModelProto, card: Card, batch: tuple[int, int, int]) -> dict[str, tuple[Sizes, Sizes, Sizes]]:
    """The smallest, usual and largest shape of the input where it has free dimensions.

    Sides follow from the Card's preprocessing. UsageError where the batch sizes contradict the file.
    """
    value = proto.graph.input[0]
    fixed = [dim.dim_value or None for dim in value.type.tensor_type.shape.dim]
    if fixed[0] is not None and {*batch} != {fixed[0]} and batch != EngineOptions.batch:
        raise UsageError(f"the file's batch is fixed at {fixed[0]}, not {batch}; export with --batch dynamic")
    if None not in fixed:
        return {}
    shapes = [
        tuple(known or free for known, free in zip(fixed, (n, 3, *sides), strict=True))
        for n, sides in zip(batch, _canvases(card), strict=True)
    ]
    return {value.name: (shapes[0], shapes[1], shapes[2])}


def _canvases(card: Card) -> list[tuple[int, int]]:
    """The smallest, the usual and the largest canvas (height, width) that preprocessing makes."""
    spec = card.input
    long = _LARGEST_KEPT if spec.size is None else max(spec.size)
    # A square as large as the longest side holds wide and tall images alike.
    boxes = [(1, 1), (480, 640), (long, long)]
    canvases = [frame_for(box, replace(spec, resize="keep", size=None)).canvas_size for box in (boxes[0], boxes[2])]
    return [canvases[0], frame_for(boxes[1], spec).canvas_size, canvases[1]]


def check(built: Build, proto: onnx.ModelProto, card: Card) -> None:
    """ExportError unless the network is of the file's precision, and every operator of ours became its plugin."""
    wide = [x.name for x in built.layers if x.kind in ("CONVOLUTION", "DECONVOLUTION") and x.precision == "FLOAT"]
    asked = card.provenance.precision
    if asked != "fp32" and wide:
        raise ExportError(
            f"{len(wide)} convolutions of the network are fp32, {wide[0]} for one, not {asked}; report it"
        )
    nodes = Counter(node.op_type for node in proto.graph.node if node.domain == DOMAIN)
    found = _plugins(built)
    if built.plugins is not None and nodes != found:
        raise ExportError(f"the network has the plugins {dict(found)}, the file the nodes {dict(nodes)}; report it")


def _plugins(built: Build) -> Counter[str]:
    return Counter(layer.plugin for layer in built.layers if layer.plugin is not None)
