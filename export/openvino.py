"""A file for OpenVINO, which knows no functions: our operators' stand in their places."""

from dataclasses import replace

import onnx

from ..deploy.card import Card
from ..deploy.model_file.inline import inline_functions


def without_functions(proto: onnx.ModelProto, card: Card) -> tuple[onnx.ModelProto, Card]:
    """The same network in standard operators alone, and the Card of a file that has none of ours."""
    return onnx.ModelProto.FromString(inline_functions(proto.SerializeToString())), replace(card, ops=())
