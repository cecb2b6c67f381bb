"""EAST, rotated boxes of text (arXiv 1704.03155), in the layout of the port SakuraRiven/EAST."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from torch import nn

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Rotated
from ..backbones.resnet import R50, TINY
from ..backbones.vgg import BatchNormVGG
from ..detector import HeatmapDetector
from ..heads.text import RotatedBoxHead
from ..necks.merging import MergingNeck
from ..variant import AS_IS_BGR, Variant

TEXT = ("text",)


def build(
    classes: int,
    *,
    backbone: Callable[[], nn.Module] = R50,
    channels: tuple[int, ...] = (128, 64, 32),
    gated: bool = False,
    **head: Any,
) -> nn.Module:
    """An EAST. Other arguments go to its head."""
    trunk = backbone()
    return HeatmapDetector(
        trunk, MergingNeck(trunk.channels, channels, gated=gated), RotatedBoxHead(channels[-1], **head)
    )


def _features() -> dict[str, str]:
    """The port's list of convolutions, norms, ReLUs and poolings to our layers of a convolution and a norm."""
    mapping: dict[str, str] = {}
    theirs = ours = 0
    for count in (2, 2, 3, 3, 3):
        for _ in range(count):
            mapping[f"^extractor.features.{theirs}."] = f"backbone.features.{ours}.conv."
            mapping[f"^extractor.features.{theirs + 1}."] = f"backbone.features.{ours}.bn."
            theirs, ours = theirs + 3, ours + 1
        theirs, ours = theirs + 1, ours + 1
    return mapping


EAST = Variant(
    name="east_vgg16",
    paper="arXiv 1704.03155",
    summary="a rotated box of text at every pixel, merged by locality-aware NMS: VGG-16 with batch norms",
    build=partial(
        build,
        backbone=partial(BatchNormVGG, 16, (1, 2, 3, 4)),
        sides="top bottom left right",
        turn=math.pi,
    ),
    form=Rotated(),
    classes_key="bbox_head.score.weight",
    input=replace(AS_IS_BGR, color="rgb", mean=(127.5,) * 3, std=(127.5,) * 3),
    suppress=Suppress("locality", conf=0.8, iou=0.2, max_det=1000),
    labels=TEXT,
    published=None,  # the port's weights lie where no program can fetch them
    mapping={
        **_features(),
        **{f"^merge.{part}{i + 1}.": f"neck.layers.{i}.{part}." for part in ("conv", "bn") for i in range(7)},
        "^output.conv1.": "bbox_head.score.",
        "^output.conv2.": "bbox_head.distances.",
        "^output.conv3.": "bbox_head.angle.",
    },
)

VARIANTS = (
    EAST,
    EAST.derive("east_test", "tiny EAST for tests", build={"backbone": TINY, "channels": (16, 16, 16)}, mapping={}),
)
ALIASES = {"east": "east_vgg16"}
