"""Conversion of a PyTorch network to an ONNX graph: fold, set the precision, trace, clean."""

import contextlib
import copy
import gc
import logging
import warnings
from collections.abc import Generator, Sequence
from importlib import metadata as packages
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from ..deploy.card import METADATA_KEY, Card, Precision
from ..deploy.inputs.network_inputs import NetworkInput
from ..deploy.system.errors import ExportError
from ..plugins.core.node import DOMAIN
from ..plugins.operators import FUNCTIONS, OWN, TRANSLATIONS
from .fold import fold_batch_norms

OPSET, IR_VERSION = 20, 10
_BF16_OPSET = 22  # the first opset with bf16 convolutions
_TYPES = {"fp16": torch.half, "bf16": torch.bfloat16}

_EXPORTER: Any = torch.onnx  # Its types are incomplete, as are those of onnx.checker.
_CHECKER: Any = onnx.checker
# Every level of a stride-128 pyramid has at least two rows and columns here. An axis of length 1 would become fixed.
_TRACED_BATCH, _TRACED_CANVAS = 2, (256, 384)
_SMALL_CANVAS = (128, 128)


def prepare(
    model: nn.Module, inputs: Sequence[NetworkInput], precision: Precision, canvas: tuple[int, int] | None = None
) -> nn.Module:
    """A copy of the network for export: normalisation folded, and for fp16 and bf16 a half-precision trunk.

    `canvas` = (h, w) is the input size of a network with a fixed one. Raises ExportError.
    """
    with _as_export_error():
        model = copy.deepcopy(model)
        fold_batch_norms(model, *_zeros(inputs, 1, canvas or _SMALL_CANVAS))
        return model if precision == "fp32" else model.to(_TYPES[precision])


def to_onnx(
    model: nn.Module,
    inputs: Sequence[NetworkInput],
    *,
    canvas: tuple[int, int] | None = None,
    batch: int | None = None,
) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """The graph of a network whose `forward` takes the inputs in order and returns named outputs.

    Also returns our operators in it. Batch and canvas are dynamic unless `batch` and `canvas` = (h, w) fix them.
    Raises ExportError.
    """
    given = _zeros(inputs, batch or _TRACED_BATCH, canvas or _TRACED_CANVAS)
    free = [
        ({} if batch else {0: "batch"}) | ({} if canvas or value.ndim != 4 else {2: "height", 3: "width"})
        for value in given
    ]
    is_bf16 = any(weight.dtype == torch.bfloat16 for weight in model.parameters())
    opset = _BF16_OPSET if is_bf16 else OPSET
    with _as_export_error(), _quiet(), _without_garbage_collection():
        program = _EXPORTER.export(
            model,
            given,
            dynamo=True,
            opset_version=opset,
            input_names=[each.name for each in inputs],
            dynamic_shapes=tuple(free) if any(free) else None,
            custom_translation_table=TRANSLATIONS,
            verbose=False,
        )
        # The network is not run for the names of its outputs: in half precision a CPU takes long.
        names = program.exported_program.call_spec.out_spec.context
        for output, name in zip(program.model.graph.outputs, names, strict=True):
            output.name = name
        proto: onnx.ModelProto = program.model_proto
        _clean(proto)
        used = {node.op_type for node in proto.graph.node if node.domain == DOMAIN}
        proto.functions.extend(_in_opset(FUNCTIONS[name], opset) for name in sorted(used))
        _CHECKER.check_model(proto, full_check=True)
    nodes = program.exported_program.graph.nodes
    return proto, tuple(sorted({n.target.name().split("::")[1] for n in nodes if n.target in OWN}))


def _zeros(inputs: Sequence[NetworkInput], batch: int, canvas: tuple[int, int]) -> tuple[Tensor, ...]:
    return tuple(torch.zeros(batch, *each.shape(canvas)) for each in inputs)


def _in_opset(function: onnx.FunctionProto, opset: int) -> onnx.FunctionProto:
    """The function in the opset of the file. Newer versions of the operators that it uses only add types."""
    own = onnx.FunctionProto()
    own.CopyFrom(function)
    for used in own.opset_import:
        used.version = opset if not used.domain else used.version
    return own


def attach(proto: onnx.ModelProto, card: Card) -> None:
    """Put the Card into the model, replacing an earlier one."""
    del proto.metadata_props[:]
    proto.metadata_props.add(key=METADATA_KEY, value=card.to_json())
    proto.graph.name = card.model


@contextlib.contextmanager
def _as_export_error() -> Generator[None]:
    """Turn any exception into a one-line ExportError, since the exporter and its dependencies raise many types."""
    try:
        yield
    except Exception as error:
        raise ExportError(f"the export failed; {_root(error)}; run again with --debug for the traceback") from error


@contextlib.contextmanager
def _quiet() -> Generator[None]:
    """Silence the exporter's messages to its own developers: warnings, and the logs of the packages that it uses."""
    logs = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript")]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)


@contextlib.contextmanager
def _without_garbage_collection() -> Generator[None]:
    """Tracing makes millions of objects that stay alive. To search them for garbage took a sixth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _clean(proto: onnx.ModelProto) -> None:
    """Remove traces of the exporting machine (stack traces, paths, notes) and symbolic shape formulas."""
    _strip(proto)
    del proto.graph.value_info[:]
    names = {name: name for name in ("batch", "height", "width")}
    for output in proto.graph.output:
        shape = output.type.tensor_type.shape.dim
        for axis, side in enumerate(shape):
            if not side.dim_param:
                continue
            if side.dim_param not in names:
                kind = {2: "map_height", 3: "map_width"}.get(axis, "points") if len(shape) == 4 else "points"
                count = sum(name.startswith(kind) for name in names.values())
                names[side.dim_param] = f"{kind}{count or ''}"
            side.dim_param = names[side.dim_param]
    proto.ir_version = IR_VERSION
    proto.producer_name, proto.producer_version = "detforge", packages.version("detforge")


def _strip(message: Any) -> None:
    """Clear the notes of a message and of all nested messages."""
    for field, value in message.ListFields():
        if field.name in ("metadata_props", "doc_string"):
            message.ClearField(field.name)
        elif field.message_type is not None:
            parts: Any = value if hasattr(value, "add") else [value]
            for part in parts:
                _strip(part)


def _root(error: BaseException) -> str:
    """The first line of the original error."""
    while error.__cause__ is not None:
        error = error.__cause__
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__
