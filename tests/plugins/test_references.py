"""The torch references and the C functions against mmcv's numbers, and the layers made of them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from golden.reader import load_ops
from ladder import CASES, buffer, rounded_inputs
from torch.nn import functional as F

from detforge.plugins.core.abi import Call, Library
from detforge.plugins.core.libraries import library
from detforge.plugins.deform_conv.op import DeformConv
from detforge.plugins.dfl.op import dfl, expectation
from detforge.plugins.operators import REFERENCES

Given = tuple[str, list[np.ndarray], dict[str, Any]]


def corner_pool(inputs: Mapping[str, np.ndarray], arguments: Mapping[str, Any]) -> Given:
    return f"{arguments['mode'].capitalize()}Pool", [inputs["x"]], {}


def border_align(inputs: Mapping[str, np.ndarray], arguments: Mapping[str, Any]) -> Given:
    return "BorderAlign", [inputs["x"], inputs["boxes"]], {"pool_size": arguments["pool_size"]}


def deform_conv(inputs: Mapping[str, np.ndarray], arguments: Mapping[str, Any]) -> Given:
    steps = (arguments[name] for name in ("stride", "padding", "dilation"))
    stride, padding, dilation = (tuple(step) if isinstance(step, list) else (step, step) for step in steps)
    attributes = {
        "strides": stride,
        "pads": (*padding, *padding),
        "dilations": dilation,
        "group": arguments["groups"],
        "offset_group": arguments["deform_groups"],
    }
    bias = inputs.get("bias", np.zeros(len(inputs["weight"]), np.float32))
    if "mask" in inputs:
        return "ModulatedDeformConv", [*(inputs[n] for n in ("x", "offset", "mask", "weight")), bias], attributes
    return "DeformConv", [*(inputs[n] for n in ("x", "offset", "weight")), bias], attributes


GOLDENS = {
    case["name"]: (*make(case["in"], case["args"]), case["out"]["y"])
    for make, cases in (
        (corner_pool, load_ops("corner_pool")),
        (border_align, load_ops("border_align")),
        (deform_conv, load_ops("deform_conv")),
    )
    for case in cases
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", GOLDENS)
def test_torch_reference_equals_mmcv(name: str, dtype: torch.dtype) -> None:
    op, inputs, attributes, expected = GOLDENS[name]
    result = REFERENCES[op](*(torch.from_numpy(x).to(dtype) for x in inputs), **attributes)
    assert result.dtype == dtype
    np.testing.assert_allclose(result.numpy(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", GOLDENS)
def test_c_function_equals_mmcv(name: str) -> None:
    op, inputs, attributes, expected = GOLDENS[name]
    path = library("detforge_cpu")
    assert path is not None
    arrays = [np.ascontiguousarray(x, np.float32) for x in inputs]
    call = Call(op, "float32", [buffer(x) for x in arrays], attributes)
    result = np.empty(expected.shape, np.float32)
    Library(path).run_cpu(call, buffer(result))
    np.testing.assert_allclose(result, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("op", REFERENCES)
def test_shape_rule_equals_the_result(op: str) -> None:
    name = next(name for name, case in CASES.items() if case.op == op)
    inputs = [torch.from_numpy(x) for x in rounded_inputs(name, "float32")]
    expected = REFERENCES[op](*inputs, **CASES[name].attributes)
    with torch.device("meta"):
        shaped = REFERENCES[op](*(x.to("meta") for x in inputs), **CASES[name].attributes)
    assert (shaped.shape, shaped.dtype) == (expected.shape, expected.dtype)


@pytest.mark.parametrize("modulated", [False, True])
def test_deformable_layer_starts_as_a_convolution(modulated: bool) -> None:
    layer = DeformConv(4, 6, 3, 2, 1, groups=2, bias=False, modulated=modulated)
    x = torch.randn(1, 4, 8, 9)
    plain = F.conv2d(x, layer.weight, stride=2, padding=1, groups=2)
    mask = 0.5 if modulated else 1.0  # the sigmoid of a mask logit of 0
    torch.testing.assert_close(layer(x), mask * plain, atol=1e-5, rtol=1e-4)
    assert sorted(layer.state_dict()) == ["conv_offset.bias", "conv_offset.weight", "weight"]


def test_expectation_trains_and_equals_the_operator() -> None:
    logits = torch.randn(2, 5, 4, 17, dtype=torch.float64, requires_grad=True)
    distances = expectation(logits)
    torch.testing.assert_close(distances.detach(), dfl(logits.detach().flatten(2)))
    assert torch.autograd.gradcheck(expectation, logits)
