"""Folding keeps what a network computes, and leaves alone what it cannot fold."""

import copy

import pytest
import torch
from torch import Tensor, nn

from detforge.export.fold import fold_batch_norms
from detforge.models.backbones.resnet import ResNet


def lively(model: nn.Module) -> nn.Module:
    """The model with normalisations that do something, in eval mode."""
    torch.manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return model.eval()


def norms(model: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in model.modules())


@pytest.mark.parametrize("style", ["pytorch", "caffe"])
@pytest.mark.parametrize("deformable", [(False,) * 4, (False, True, True, True)])
def test_resnet_folds_whole(style, deformable):
    model = lively(ResNet(50, width=8, style=style, deformable=deformable))
    for name, parameter in model.named_parameters():
        if "conv_offset" in name:
            nn.init.normal_(parameter, std=0.05)
    folded = copy.deepcopy(model)
    fold_batch_norms(folded, torch.zeros(1, 3, 64, 64))
    assert norms(folded) == 0
    image = torch.randn(2, 3, 96, 64)
    with torch.inference_mode():
        for got, expected in zip(folded(image), model(image), strict=True):
            assert torch.allclose(got, expected, rtol=1e-3, atol=1e-3 * float(expected.std()))


@pytest.mark.parametrize("groups", [1, 2])
def test_transposed_convolutions_fold(groups):
    model = lively(nn.Sequential(nn.ConvTranspose2d(4, 6, 4, 2, 1, groups=groups), nn.BatchNorm2d(6)))
    folded = copy.deepcopy(model)
    image = torch.randn(2, 4, 5, 6)
    with torch.inference_mode():
        fold_batch_norms(folded, image)
        assert norms(folded) == 0
        torch.testing.assert_close(folded(image), model(image), rtol=1e-4, atol=1e-4)


def test_convolutions_of_rows_fold():
    model = lively(nn.Sequential(nn.Conv1d(3, 5, 1), nn.BatchNorm1d(5)))
    folded = copy.deepcopy(model)
    rows = torch.randn(2, 3, 7)
    with torch.inference_mode():
        fold_batch_norms(folded, rows)
        assert norms(folded) == 0
        torch.testing.assert_close(folded(rows), model(rows), rtol=1e-4, atol=1e-4)


class Shared(nn.Module):
    """One convolution that feeds two normalisations, as heads with separate norms a level do."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.norms = nn.ModuleList([nn.BatchNorm2d(4), nn.BatchNorm2d(4)])

    def forward(self, x: Tensor) -> Tensor:
        return self.norms[0](self.conv(x)) + self.norms[1](self.conv(x * 2))


def test_shared_convolution_is_left_alone():
    model = lively(Shared())
    image = torch.randn(1, 3, 8, 8)
    before = model(image)
    fold_batch_norms(model, image)
    assert norms(model) == 2
    assert torch.equal(model(image), before)
