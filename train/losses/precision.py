"""The precision that losses are computed in."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def in_fp32(loss: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """The loss with its half-precision arguments converted to fp32, whose range powers and sums need."""

    @wraps(loss)
    def converted(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        return loss(*map(_wide, args), **{name: _wide(value) for name, value in kwargs.items()})

    return converted


def _wide(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16) else value
