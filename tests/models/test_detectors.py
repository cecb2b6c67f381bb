"""The parts of DetectoRS, against their definitions."""

import torch
from torch.nn import functional as F

from detforge.models.backbones.detectors import RecursiveResNet, StandardizedConv, SwitchableConv


def standardized(weight: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
    flat = weight.flatten(1)
    mean, variance = flat.mean(1), ((flat - flat.mean(1, keepdim=True)) ** 2).sum(1) / (flat.shape[1] - 1)
    scaled = (flat - mean[:, None]) / (variance + 1e-5).sqrt()[:, None]
    return (gamma.flatten()[:, None] * scaled + beta.flatten()[:, None]).view_as(weight)


def test_loaded_weights_are_standardised_once() -> None:
    torch.manual_seed(0)
    state = {"weight": torch.randn(4, 3, 3, 3)}
    state |= {"weight_gamma": torch.rand(4, 1, 1, 1) + 0.5, "weight_beta": torch.randn(4, 1, 1, 1)}
    layer = StandardizedConv(3, 4, 3)
    layer.load_state_dict(state)
    expected = standardized(*state.values())
    torch.testing.assert_close(layer.weight.detach(), expected)
    again = StandardizedConv(3, 4, 3)
    again.load_state_dict(layer.state_dict())
    torch.testing.assert_close(again.weight.detach(), expected, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_without_offsets_it_is_a_sum_of_two_convolutions() -> None:
    torch.manual_seed(0)
    layer = SwitchableConv(6, 2)
    for name, weight in layer.named_parameters():
        if not name.startswith("offset"):
            weight.copy_(torch.randn(weight.shape) * 0.2)
    x = torch.randn(2, 6, 9, 11)
    given = x + F.conv2d(x.mean((2, 3), keepdim=True), layer.pre_context.weight, layer.pre_context.bias)
    around = F.pad(given, (2, 2, 2, 2), "reflect").unfold(2, 5, 1).unfold(3, 5, 1).mean((-2, -1))
    switch = F.conv2d(around, layer.switch.weight, layer.switch.bias, 2)
    near = F.conv2d(given, layer.weight, None, 2, 1)
    far = F.conv2d(given, layer.weight + layer.weight_diff, None, 2, 3, 3)
    mixed = switch * near + (1 - switch) * far
    context = F.conv2d(mixed.mean((2, 3), keepdim=True), layer.post_context.weight, layer.post_context.bias)
    torch.testing.assert_close(layer(x), mixed + context, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_a_second_look_without_features_is_the_first() -> None:
    """New weights of the connection are zeros, as training starts."""
    network = RecursiveResNet(14, width=8, fed=16).eval()
    image = torch.randn(1, 3, 128, 128)
    first, *levels = network(image)
    again = network.again(image, [torch.randn(1, 16, *level.shape[2:]) for level in levels])
    assert first is image
    for one, other in zip(levels, again, strict=True):
        torch.testing.assert_close(one, other)
