"""Training learns: a tiny GFL fits two scenes."""

from functools import partial
from itertools import repeat

import torch

from detforge.models.backbones.resnet import TINY
from detforge.models.zoo.gfl import build
from detforge.train.fit import fit
from detforge.train.gfl import gfl_losses

tiny = partial(build, backbone=TINY, channels=32, stacked=1, strides=(8, 16, 32))


def test_losses_fall_on_one_batch() -> None:
    torch.manual_seed(0)
    images = torch.randn(2, 3, 64, 64)
    boxes = [torch.tensor([[8.0, 8, 40, 40]]), torch.tensor([[16.0, 20, 60, 50], [0.0, 0, 16, 16]])]
    labels = [torch.tensor([0]), torch.tensor([1, 0])]
    model = tiny(2)
    before = gfl_losses(model, images, boxes, labels)
    trained = fit(model, repeat((images, boxes, labels)), gfl_losses, steps=40, rate=3e-3)
    after = gfl_losses(model, images, boxes, labels)
    assert not trained.training
    assert after["giou"] < 0.5 * before["giou"]
    assert after["distribution"] < before["distribution"]


def test_a_batch_without_objects_has_a_gradient() -> None:
    model = tiny(2)
    losses = gfl_losses(model, torch.randn(1, 3, 64, 64), [torch.zeros(0, 4)], [torch.zeros(0, dtype=torch.long)])
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in model.bbox_head.gfl_cls.parameters())
