"""Folding of batch normalisation into the preceding convolution, while the weights are still fp32."""

from typing import Any

import torch
from torch import Tensor, nn

from ..plugins.deform_conv.op import DeformConv

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def fold_batch_norms(model: nn.Module, *inputs: Tensor) -> None:
    """Fold, in place, every BatchNorm1d and BatchNorm2d whose only input is the result of one convolution.

    A run on `inputs` shows which layer feeds which. Layers that run more than once, such as heads shared by several
    levels, are left unchanged: their convolution may feed several normalisations.
    """
    for convolution, name in _pairs(model, inputs):
        norm = model.get_submodule(name)
        scale, shift = _affine(norm)
        with torch.no_grad():
            convolution.weight.mul_(_of_weights(scale, convolution))
        bias = 0 if convolution.bias is None else convolution.bias.detach() * scale
        convolution.bias = nn.Parameter(bias + shift)
        model.set_submodule(name, nn.Identity())


def _of_weights(scale: Tensor, convolution: Any) -> Tensor:
    """The factor of each output channel, in the shape of the weights.

    Those of a transposed convolution have the input channels of all groups first, then the output channels of one.
    """
    if not isinstance(convolution, nn.ConvTranspose2d):
        return scale.reshape(-1, *[1] * (convolution.weight.ndim - 1))
    inputs = convolution.in_channels // convolution.groups
    return scale.reshape(convolution.groups, -1, 1, 1).repeat_interleave(inputs, 0)


def _affine(norm: Any) -> tuple[Tensor, Tensor]:
    """The normalisation in eval mode as x * scale + shift, both (c,)."""
    scale = norm.weight.detach() / torch.sqrt(norm.running_var + norm.eps)
    return scale, norm.bias.detach() - norm.running_mean * scale


def _pairs(model: Any, given: tuple[Tensor, ...]) -> list[tuple[Any, str]]:
    """Each convolution that runs once, with the name of the normalisation that alone reads its result."""
    runs: dict[nn.Module, int] = {}
    makers: dict[int, nn.Module] = {}
    alive: list[Tensor] = []  # Keep tensors alive, since an id is unique only among live objects.
    found: list[tuple[nn.Module, nn.Module]] = []

    def watch(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        runs[module] = runs.get(module, 0) + 1
        if isinstance(module, _NORMS):
            if maker := makers.get(id(inputs[0])):
                found.append((maker, module))
        else:
            makers[id(output)] = module
            alive.append(output)

    kinds = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d, DeformConv, *_NORMS)
    hooks = [m.register_forward_hook(watch) for m in model.modules() if isinstance(m, kinds)]
    try:
        with torch.inference_mode():
            model(*given)
    finally:
        for hook in hooks:
            hook.remove()
    names: dict[Any, str] = {module: name for name, module in model.named_modules()}
    return [(c, names[norm]) for c, norm in found if runs[c] == 1 and runs[norm] == 1]
