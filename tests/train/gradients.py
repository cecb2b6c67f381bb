"""Losses and their gradients beside those of a reference."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Inputs = dict[str, Tensor]
Outputs = dict[str, Tensor]


def agrees(case: dict[str, Any], compute: Callable[[Inputs, dict[str, Any]], Outputs], tolerance: float = 2e-5) -> None:
    """Compare the outputs of `compute(inputs, args)`, and the gradients of their sum, with a golden case."""
    inputs = {name: torch.from_numpy(value) for name, value in case["in"].items()}
    wanted = [name.removeprefix("grad/") for name in case["out"] if name.startswith("grad/")]
    for name in wanted:
        inputs[name] = inputs[name].clone().requires_grad_()
    outputs = compute(inputs, case["args"])
    assert set(outputs) == {name for name in case["out"] if not name.startswith("grad/")}
    if wanted:
        losses = [value.sum() for value in outputs.values() if value.requires_grad]
        gradients = torch.autograd.grad(torch.stack(losses).sum(), [inputs[name] for name in wanted])
        outputs |= {f"grad/{name}": value for name, value in zip(wanted, gradients, strict=True)}
    for name, value in outputs.items():
        expected = torch.from_numpy(case["out"][name])
        scale = max(1e-3, float(expected.abs().max())) if expected.numel() else 1.0
        worst = (value.detach().reshape(expected.shape) - expected).abs().max().item() if expected.numel() else 0.0
        assert worst <= tolerance * scale, f"{case['name']}: {name} differs by {worst:.2e}, scale {scale:.2e}"
