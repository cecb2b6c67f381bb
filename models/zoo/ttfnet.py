"""TTFNet (arXiv 1909.00700)."""

from collections.abc import Callable

from torch import nn

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Peaks
from ..backbones.darknet import Darknet
from ..backbones.resnet import R18, R34, TINY
from ..detector import HeatmapDetector
from ..heads.ttf import TTFHead
from ..labels import COCO
from ..necks.ttf import TTFNeck
from ..variant import RGB, Published, Variant, stretched


def build(
    classes: int,
    *,
    backbone: Callable[[], nn.Module] = R18,
    channels: tuple[int, ...] = (256, 128, 64),
    depth: int = 1,
) -> nn.Module:
    """A TTFNet; `depth` is the number of convolutions before the last one of the sides."""
    trunk = backbone()
    return HeatmapDetector(trunk, TTFNeck(trunk.channels, channels), TTFHead(classes, channels[-1], depth=depth))


_UP = {f"bbox_head.{part}.": f"neck.{part}." for part in ("deconv_layers", "shortcut_layers")}
_DARKNET = {
    "backbone.stem.": "backbone.conv1.",
    **{f"backbone.layer{i}.0.": f"backbone.conv_res_block{i}.conv." for i in range(1, 6)},
    **{f"backbone.layer{i}.{k}.": f"backbone.conv_res_block{i}.res{k - 1}." for i in range(1, 6) for k in range(1, 9)},
    ".body.0.": ".conv1.",
    ".body.1.": ".conv2.",
}


def _published(file: str, ap: float) -> Published:
    return Published(f"http://downloads.zjulearning.org.cn/ttfnet/{file}.pth", ap)


_R18 = Variant(
    name="ttfnet_r18",
    paper="arXiv 1909.00700",
    summary="a heatmap of centres with distances to the sides, without NMS: ResNet-18",
    build=build,
    form=Peaks(),
    classes_key="bbox_head.hm.2.weight",
    input=stretched(RGB, 512, 512),
    suppress=Suppress("none"),
    labels=COCO,
    published=_published("ttfnet18_1x-fe6884", 25.9),
    mapping={**_UP, "conv_offset_mask": "conv_offset"},
)
_D53 = _R18.derive(
    "ttfnet_d53",
    "TTFNet on Darknet-53",
    _published("ttfnet53_1x-4811e4", 32.9),
    build={"backbone": Darknet, "depth": 2},
    mapping={**_R18.mapping, **_DARKNET},
    classes_key="bbox_head.hm.2.weight",
)
_R34 = {"backbone": R34, "depth": 2}

VARIANTS = (
    _R18,
    _R18.derive("ttfnet_r18_2x", "TTFNet on ResNet-18, 2x schedule", _published("ttfnet18_2x-37373a", 28.1), build={}),
    _R18.derive(
        "ttfnet_r18_10x", "TTFNet on ResNet-18, 10x schedule", _published("ttf18_aug_10x-0c5709be", 31.8), build={}
    ),
    _R18.derive(
        "ttfnet_r34_2x", "TTFNet on ResNet-34, 2x schedule", _published("ttfnet34_2x-0577d0", 31.3), build=_R34
    ),
    _R18.derive(
        "ttfnet_r34_10x", "TTFNet on ResNet-34, 10x schedule", _published("ttf34_aug_10x-b394ba77", 35.3), build=_R34
    ),
    _D53,
    _D53.derive("ttfnet_d53_2x", "TTFNet on Darknet-53, 2x schedule", _published("ttfnet53_2x-b381dd", 35.1), build={}),
    _D53.derive(
        "ttfnet_d53_10x", "TTFNet on Darknet-53, 10x schedule", _published("ttf53_aug_10x-86c43dd3", 39.3), build={}
    ),
    _R18.derive("ttfnet_test", "tiny TTFNet for tests", build={"backbone": TINY, "channels": (32, 32, 16)}),
)
ALIASES = {"ttfnet": "ttfnet_r18_10x"}
