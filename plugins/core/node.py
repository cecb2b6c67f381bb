"""Nodes of the domain `detforge`, and the functions that define them for runtimes without our libraries."""

from collections.abc import Callable, Collection, Sequence
from functools import cache
from typing import Any

import onnx

DOMAIN, VERSION = "detforge", 1
_TYPES = ["tensor(float)", "tensor(float16)", "tensor(bfloat16)"]


@cache
def function(text: str) -> onnx.FunctionProto:
    """Parse a function in ONNX's text syntax."""
    return onnx.parser.parse_function(text)


def node(text: str, float_inputs: Collection[int] = ()) -> Callable[..., Any]:
    """A callable that adds the node of a function to an exported graph. Takes inputs, then attributes by name.

    All tensors have one type, except the inputs whose positions are in `float_inputs`: they are float32.
    """

    def add(*inputs: Any, **attributes: int | Sequence[int]) -> Any:
        from onnxscript import values  # Only exports need onnxscript.

        definition = function(text)
        op = values.Op(values.Opset(DOMAIN, VERSION), definition.name, _schema(definition, float_inputs, attributes))
        # TensorRT's parser looks plugins up by these two attributes.
        return op(*inputs, **attributes, plugin_version=str(VERSION), plugin_namespace=DOMAIN)

    return add


def _schema(
    definition: onnx.FunctionProto, float_inputs: Collection[int], attributes: dict[str, int | Sequence[int]]
) -> onnx.defs.OpSchema:
    schema, kinds = onnx.defs.OpSchema, onnx.defs.OpSchema.AttrType
    texts = {"plugin_version": kinds.STRING, "plugin_namespace": kinds.STRING}
    numbers = {name: kinds.INT if isinstance(value, int) else kinds.INTS for name, value in attributes.items()}
    return schema(
        definition.name,
        DOMAIN,
        VERSION,
        inputs=[
            schema.FormalParameter(name, "tensor(float)" if i in float_inputs else "T")
            for i, name in enumerate(definition.input)
        ],
        outputs=[schema.FormalParameter(name, "T") for name in definition.output],
        type_constraints=[("T", _TYPES, "")],
        attributes=[schema.Attribute(name, kind, required=True) for name, kind in (texts | numbers).items()],
    )
