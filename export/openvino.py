"""Export for OpenVINO, which does not support ONNX functions: inline those of our operators."""

from dataclasses import replace

import onnx

from ..deploy.card import Card
from ..deploy.model_file.inline import inline_functions


def without_functions(proto: onnx.ModelProto, card: Card) -> tuple[onnx.ModelProto, Card]:
    """The network in standard operators only, and its Card, which then lists none of our operators."""
    return onnx.ModelProto.FromString(inline_functions(proto.SerializeToString())), replace(card, ops=())
