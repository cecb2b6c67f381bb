"""Weights for networks without any, so that they find something."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from detforge.deploy.inputs.resize import Resize
from detforge.export.photographs import make_up
from detforge.models.backbones.detectors import StandardizedConv, keep_weights
from detforge.models.blocks import ConvNorm
from detforge.models.checkpoint import random_model
from detforge.models.shapes import shapes_only
from detforge.models.zoo import VARIANTS


def small_canvas(place: Resize) -> tuple[int, int]:
    """One that the network takes; some are made for a single size."""
    return place.size if place.pad.multiple == 1 and place.size else place.pad.size_for((128, 160))


def with_new_parts(names: Iterable[str]) -> Iterator[str]:
    """The networks that have a class of module beside the backbone that none before them has."""
    seen: set[type] = set()
    for name in names:
        variant = VARIANTS[name]
        with shapes_only():
            modules = variant.build(variant.classes).modules()
        parts = {type(module) for module in modules if ".backbones." not in type(module).__module__}
        if parts - seen:
            yield name
        seen |= parts


def cases(every: Iterable[tuple[str, str]], short: Collection[tuple[str, str]]) -> list[Any]:
    """Parameters of exports (name, precision), which may run on different workers. Those not in `short` are long."""
    return [
        pytest.param(
            case, marks=[pytest.mark.xdist_group("-".join(case)), *([] if case in short else [pytest.mark.long])]
        )
        for case in every
    ]


def lively_weights(name: str) -> dict[str, Tensor]:
    """Weights that keep the size of what they carry, and classes with a spread of scores, so that detections exist.

    Random weights as a training starts with them have every score near 0.01.
    """
    variant = VARIANTS[name]
    model = random_model(variant)
    classifiers: list[tuple[Tensor, Tensor]] = []

    def scale(layer: nn.Conv2d | nn.Linear, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        hooks.pop(layer).remove()  # a layer of several levels is scaled at the first
        if output.ndim == 4 and output[0, 0].numel() == 1:  # a gate of squeeze and excitation magnifies rounding
            return output
        channels = output.movedim(-1 if isinstance(layer, nn.Linear) else 1, 0).flatten(1)
        if layer.bias is None:
            layer.weight /= size(channels)
            return layer(*inputs)
        classes = layer.bias < -2  # which start at a score of 0.1 or less
        channels = channels - layer.bias[:, None]
        # Of four channels are the sides of a box, whose exponential would outgrow the image.
        layer.weight[~classes] /= size(channels[~classes]) * (4 if len(layer.weight) == 4 else 1)
        if classes.any():
            spread, mean = torch.std_mean(channels[classes], 1)
            layer.weight[classes] /= spread.view(-1, *[1] * (layer.weight.ndim - 1))
            layer.bias[classes] = -mean / spread
            classifiers.append((layer.bias, classes))
        return layer(*inputs)

    def level(norm: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
        variance, mean = torch.var_mean(inputs[0], (0, 2, 3))
        norm.running_var.copy_(variance)
        norm.running_mean.copy_(mean)

    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    hooks = {layer: layer.register_forward_hook(scale) for layer in layers}
    shared: dict[nn.Module, list[nn.Module]] = {}
    for module in model.modules():
        if isinstance(module, ConvNorm) and module.norm_name == "bn":
            shared.setdefault(module.conv, []).append(module.bn)
    # Where levels share a convolution but no norm, each norm has its own level's statistics: without them the classes
    # of all cells of a level are nearly equal.
    norms = [norm.register_forward_pre_hook(level) for own in shared.values() if len(own) > 1 for norm in own]
    canvas = small_canvas(variant.input.place)
    images = np.empty((2, 3, *canvas), np.float32)
    for seed, image in enumerate(images):
        Resize().whole(canvas).fill(image, make_up(canvas, seed), variant.input.pixels, threads=1)
    inputs = [torch.from_numpy(images), *(torch.tensor([canvas, canvas]).float() for _ in variant.other_inputs)]
    with torch.no_grad():
        outputs = model.eval()(*inputs)
        for norm in norms:
            norm.remove()
        while classifiers and "scores" in outputs and fewest_detections(outputs) > 50:
            for bias, classes in classifiers:
                bias[classes] -= 1
            outputs = model(*inputs)
        classifiers_in_a_row = [p for name, p in model.named_parameters() if name.endswith("fc_cls.weight")]
        for weight in classifiers_in_a_row:  # whose logits' mean has that much less of a spread
            weight *= len(classifiers_in_a_row) ** 0.5
    for module in model.modules():
        if isinstance(module, StandardizedConv):
            keep_weights(module)
    return model.state_dict()


def size(values: Tensor) -> Tensor:
    """The root mean square, or 1 of what is zero, like the offsets of a deformable convolution at the start."""
    size = values.square().mean().sqrt()
    return size if size > 0 else torch.ones(())


def fewest_detections(outputs: Mapping[str, Tensor]) -> int:
    """How many pairs of point and class have a fused score above 0.3, in the image with the fewest."""
    scores, quality = outputs["scores"], outputs.get("quality", torch.ones(()))
    quality = quality[..., None] if quality.ndim == scores.ndim - 1 else quality
    return int((scores * quality > 0.3).flatten(1).sum(1).min())
