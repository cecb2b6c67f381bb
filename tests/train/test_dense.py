"""Training learns: every dense head that has losses fits two scenes."""

from collections.abc import Callable
from itertools import repeat

import pytest
import torch
from torch import Tensor, nn

from detforge.models.zoo import VARIANTS
from detforge.train.boxes import iou
from detforge.train.dense import LOSSES, dense_losses
from detforge.train.fit import fit

NAMES = ("gfl_test", "gflv2_test", "retinanet_test", "iou_aware_retinanet_test", "fcos_test", "atss_test", "vfnet_test")


@pytest.fixture(params=NAMES)
def build(request: pytest.FixtureRequest) -> Callable[[int], nn.Module]:
    torch.manual_seed(0)
    return VARIANTS[request.param].build


def scenes() -> tuple[Tensor, list[Tensor], list[Tensor]]:
    images = torch.randn(2, 3, 96, 96)
    boxes = [torch.tensor([[8.0, 8, 72, 72]]), torch.tensor([[24.0, 32, 96, 88], [0.0, 0, 32, 32]])]
    return images, boxes, [torch.tensor([0]), torch.tensor([1, 0])]


def test_every_head_with_losses_is_tested() -> None:
    assert {type(VARIANTS[name].build(2).bbox_head) for name in NAMES} == set(LOSSES)


def recalled(model: nn.Module, images: Tensor, boxes: list[Tensor], labels: list[Tensor]) -> float:
    """The mean over the objects of the best score for their class, times the overlap of that box."""
    with torch.no_grad():
        found = model.eval()(images)
    scores = (
        found["scores"] * found.get("quality", torch.ones(()))[..., None] if "quality" in found else found["scores"]
    )
    values = [
        (scores[i, :, label] * iou(found["boxes"][i], box)).max()
        for i, (own, classes) in enumerate(zip(boxes, labels, strict=True))
        for box, label in zip(own, classes, strict=True)
    ]
    return torch.stack(values).mean().item()


@pytest.mark.slow
def test_training_finds_the_objects_of_one_batch(build: Callable[[int], nn.Module]) -> None:
    images, boxes, labels = scenes()
    model = build(2)
    assert recalled(model, images, boxes, labels) < 0.05
    fit(model, repeat((images, boxes, labels)), dense_losses, steps=40, rate=3e-3)
    assert recalled(model.train(), images, boxes, labels) > 0.1


def test_a_batch_without_objects_has_a_gradient(build: Callable[[int], nn.Module]) -> None:
    model = build(2).train()
    none = torch.zeros(0, 4), torch.zeros(0, dtype=torch.long)
    losses = dense_losses(model, torch.randn(2, 3, 128, 128), [none[0]] * 2, [none[1]] * 2)
    sum(losses.values()).backward()
    assert all(torch.isfinite(value) for value in losses.values())
    gradients = [p.grad for p in model.bbox_head.parameters()]
    assert any(g is not None and g.any() for g in gradients)
    assert all(g is None or g.isfinite().all() for g in gradients)
