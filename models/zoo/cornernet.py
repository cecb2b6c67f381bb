"""CornerNet ("Detecting Objects as Paired Keypoints", arXiv 1808.01244)."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from torch import nn

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Corners
from ..backbones import hourglass
from ..detector import HeatmapDetector
from ..heads.corner import CornerHead, last_stack
from ..labels import COCO
from ..variant import KEEP_BGR, KEEP_RGB, Published, Variant, openmmlab

_CORNERS = ("tl", "br")


def build(
    classes: int,
    *,
    channels: tuple[int, ...] = (256, 256, 384, 384, 384, 512),
    blocks: tuple[int, ...] = (2, 2, 2, 2, 2, 4),
    stacks: int = 2,
    head: Callable[[int, int], nn.Module] = CornerHead,
) -> nn.Module:
    """A CornerNet with only the heads of the last stack, since the others are for training."""
    backbone = hourglass.HourglassNet(channels, blocks, stacks)
    return HeatmapDetector(backbone, None, head(classes, channels[0]))


POOLS = {
    ".p1_conv1.": ".direction1_conv.",
    ".p2_conv1.": ".direction2_conv.",
    ".p_conv1.": ".aftpool_conv.conv.",
    ".p_bn1.": ".aftpool_conv.bn.",
    "_pool.conv1.weight": "_pool.conv1.conv.weight",
    "_pool.bn1.": "_pool.conv1.bn.",
}
"""For `Variant.mapping`: the authors' layout of corner pooling."""


_PARTS = {"cnvs": "pool", "heats": "heat", "tags": "emb", "regrs": "off"}
_BRANCHES = [(f"{at}_{theirs}", f"{at}_{ours}") for at in _CORNERS for theirs, ours in _PARTS.items()]
_MAPPING, _UNUSED = last_stack(2)

_CORNERNET = Variant(
    name="cornernet_hg104",
    paper="arXiv 1808.01244",
    summary="objects as pairs of corners, grouped by learned tags; Hourglass-104",
    build=build,
    form=Corners(),
    classes_key="bbox_head.tl_heat.1.conv.weight",
    input=KEEP_RGB,
    suppress=Suppress("gaussian", iou=0.5),
    labels=COCO,
    # The AP is with --flip, which is off by default in OpenMMLab's test.
    published=openmmlab("cornernet", "cornernet_hourglass104_mstest_8x6_210e_coco", "_20200825_150618-79b44c30", 41.2),
    mapping=_MAPPING,
    unused=_UNUSED,
)

VARIANTS = (
    _CORNERNET,
    replace(
        _CORNERNET,
        name="cornernet_hg104_authors",
        summary="CornerNet by its authors: Hourglass-104",
        form=Corners(cut="image", flip=True),
        input=KEEP_BGR,
        suppress=Suppress("gaussian", iou=0.5, inclusive=True),
        published=Published(None, 40.5),  # theirs lies where nothing can be fetched from; AP on test-dev
        mapping={
            **hourglass.AUTHORS,
            **{f"^{theirs}.1.1.": f"bbox_head.{ours}.1.conv." for theirs, ours in _BRANCHES if "cnvs" not in theirs},
            **{f"^{theirs}.1.": f"bbox_head.{ours}." for theirs, ours in _BRANCHES},
            **POOLS,
        },
        unused=tuple(f"{theirs}.0." for theirs, _ in _BRANCHES),
    ),
    replace(
        _CORNERNET,
        name="cornernet_test",
        summary="tiny CornerNet for tests",
        build=partial(build, channels=(16, 16, 24), blocks=(1, 1, 1), head=partial(CornerHead, pooled=8)),
        published=None,
        mapping={},
        unused=(),
    ),
)
ALIASES = {"cornernet": "cornernet_hg104"}
