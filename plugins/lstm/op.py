"""A bidirectional LSTM (Hochreiter and Schmidhuber, 1997) as the one node that ONNX has for it.

torch's exporter writes out every step of its own. This operator has no node and no kernels of ours.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


@torch.library.custom_op("detforge::lstm", mutates_args=())
def lstm(x: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """x (t, n, c) to the hidden states (t, n, 2 * hidden) of both directions, from states of 0.

    `weights` are the eight parameters of a bidirectional `torch.nn.LSTM` with biases, in its order.
    """
    start = x.new_zeros(2, x.shape[1], weights[1].shape[1])
    return torch.lstm(x, (start, start), list(weights), True, 1, 0.0, False, True, False)[0]


@lstm.register_fake
def _(x: Tensor, weights: Sequence[Tensor]) -> Tensor:
    return x.new_empty((*x.shape[:2], 2 * weights[1].shape[1]))


def to_onnx(x: Any, weights: Sequence[Any]) -> Any:
    """Add an LSTM node to an exported graph. ONNX has the gates in another order."""
    from onnxscript import opset20 as op  # Only exports need onnxscript.

    hidden = int(weights[1].shape[1])
    axis = op.Constant(value_ints=[0])

    def both(*places: int) -> Any:
        """The gates of some parameters of each direction, one behind the other: (2, ...)."""
        sides: list[Any] = []
        for first in (0, 4):
            gates: list[Any] = []
            for place in places:
                enter, forget, cell, leave = op.Split(weights[first + place], num_outputs=4, axis=0)
                gates += [enter, leave, forget, cell]
            sides.append(op.Unsqueeze(op.Concat(*gates, axis=0), axis))
        return op.Concat(*sides, axis=0)

    states, _, _ = op.LSTM(x, both(0), both(1), both(2, 3), hidden_size=hidden, direction="bidirectional")
    by_row = op.Transpose(states, perm=[0, 2, 1, 3])
    return op.Reshape(by_row, op.Constant(value_ints=[0, 0, 2 * hidden]))


TRANSLATIONS = {torch.ops.detforge.lstm.default: to_onnx}
