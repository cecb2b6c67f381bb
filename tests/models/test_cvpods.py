"""Checkpoints in the layout of cvpods, which AutoAssign's and BorderDet's authors used, load key by key."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from detforge.models.checkpoint import Checkpoint, load_variant
from detforge.models.zoo import find

Shapes = Iterator[tuple[str, tuple[int, ...]]]


def normed(name: str, shape: tuple[int, ...]) -> Shapes:
    """A convolution without bias and its frozen batch norm."""
    yield f"{name}.weight", shape
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.norm.{part}", shape[:1]


def biased(name: str, *shape: int) -> Shapes:
    yield f"{name}.weight", shape
    yield f"{name}.bias", shape[:1]


def resnet50() -> Shapes:
    yield from normed("backbone.bottom_up.stem.conv1", (64, 3, 7, 7))
    before = 64
    for stage, (blocks, width) in enumerate(zip((3, 4, 6, 3), (64, 128, 256, 512), strict=True), 2):
        for i in range(blocks):
            name = f"backbone.bottom_up.res{stage}.{i}"
            if i == 0:
                yield from normed(f"{name}.shortcut", (4 * width, before, 1, 1))
            yield from normed(f"{name}.conv1", (width, before, 1, 1))
            yield from normed(f"{name}.conv2", (width, width, 3, 3))
            yield from normed(f"{name}.conv3", (4 * width, width, 1, 1))
            before = 4 * width


def pyramid_and_towers() -> Shapes:
    for level, channels in ((3, 512), (4, 1024), (5, 2048)):
        yield from biased(f"backbone.fpn_lateral{level}", 256, channels, 1, 1)
        yield from biased(f"backbone.fpn_output{level}", 256, 256, 3, 3)
    for level in (6, 7):
        yield from biased(f"backbone.top_block.p{level}", 256, 256, 3, 3)
    for branch in ("cls_subnet", "bbox_subnet"):
        for i in range(4):  # convolution, norm, ReLU, and again
            yield from biased(f"head.{branch}.{3 * i}", 256, 256, 3, 3)
            yield from biased(f"head.{branch}.{3 * i + 1}", 256)
    yield from biased("head.cls_score", 80, 256, 3, 3)
    yield from biased("head.bbox_pred", 4, 256, 3, 3)
    for i in range(5):
        yield f"head.scales.{i}.scale", (1,)


def autoassign() -> Shapes:
    yield from biased("head.obj_score", 1, 256, 3, 3)
    yield "mu", (80, 2)
    yield "sigma", (80, 2)


def borderdet() -> Shapes:
    yield from biased("head.centerness", 1, 256, 3, 3)
    for branch, channels in (("border_cls_subnet", 256), ("border_bbox_subnet", 128)):
        yield from biased(f"head.{branch}.cur_point_conv.0", channels, 256, 1, 1)
        yield from biased(f"head.{branch}.ltrb_conv.0", 4 * channels, 256, 1, 1)
        yield from biased(f"head.{branch}.border_conv.0", 256, 5 * channels, 1, 1)
    yield from biased("head.border_cls_score", 80, 256, 1, 1)
    yield from biased("head.border_bbox_pred", 4, 256, 1, 1)


PLACES = {
    "backbone.bottom_up.stem.conv1.norm.running_mean": "backbone.bn1.running_mean",
    "backbone.bottom_up.res2.0.shortcut.weight": "backbone.layer1.0.downsample.0.weight",
    "backbone.bottom_up.res5.0.shortcut.norm.bias": "backbone.layer4.0.downsample.1.bias",
    "backbone.bottom_up.res4.5.conv2.norm.running_var": "backbone.layer3.5.bn2.running_var",
    "backbone.fpn_lateral3.weight": "neck.lateral_convs.0.conv.weight",
    "backbone.fpn_output5.bias": "neck.fpn_convs.2.conv.bias",
    "backbone.top_block.p6.weight": "neck.fpn_convs.3.conv.weight",
    "head.cls_subnet.9.weight": "bbox_head.cls_convs.3.conv.weight",
    "head.bbox_subnet.4.weight": "bbox_head.reg_convs.1.gn.weight",
    "head.bbox_pred.weight": "bbox_head.conv_reg.weight",
}


@pytest.mark.parametrize(
    ("name", "head", "places"),
    [
        ("autoassign_official_r50", autoassign, {"head.obj_score.weight": "bbox_head.conv_centerness.weight"}),
        (
            "borderdet_r50",
            borderdet,
            {
                "head.centerness.weight": "bbox_head.conv_centerness.weight",
                "head.border_cls_subnet.ltrb_conv.0.weight": "bbox_head.border_cls_subnet.ltrb_conv.0.weight",
                "head.border_bbox_pred.bias": "bbox_head.border_bbox_pred.bias",
            },
        ),
    ],
)
def test_published_layout_loads(name: str, head: object, places: dict[str, str]) -> None:
    shapes = dict([*resnet50(), *pyramid_and_towers(), *head()])
    # Each tensor holds its own number, so that a swap shows.
    state = {key: torch.full((), float(i)).expand(shape) for i, (key, shape) in enumerate(shapes.items())}
    loaded: dict[str, Tensor] = load_variant(find(name), Checkpoint(state, name, None, None)).state_dict()
    for theirs, ours in (PLACES | places).items():
        assert (loaded[ours] == list(shapes).index(theirs)).all(), theirs
    used = {float(value.flatten()[0]) for key, value in loaded.items() if not key.endswith("num_batches_tracked")}
    unused = {float(list(shapes).index(key)) for key in ("mu", "sigma") if key in shapes}
    assert used == {float(i) for i in range(len(shapes))} - unused


@pytest.mark.parametrize("name", ["autoassign_official_r50", "borderdet_r50"])
def test_our_own_layout_loads_too(name: str) -> None:
    state = {k: torch.zeros(()).expand(v.shape) for k, v in find(name).build(80).state_dict().items()}
    assert load_variant(find(name), Checkpoint(state, name, None, None))
