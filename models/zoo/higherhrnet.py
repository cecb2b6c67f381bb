"""HigherHRNet ("HigherHRNet: Scale-Aware Representation Learning for Bottom-Up Human Pose Estimation",
arXiv 1908.10357)."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from ..backbones import hrnet as backbones
from ..heads.associative import HigherHead
from ..pose import LARGE_WARP, OLD_HEAD, TEST_WARP, WARP, PoseNetwork, bottom_up, mmpose
from ..variant import Published, Variant
from .hrnet import TINY


def build(
    keypoints: int,
    *,
    width: int = 32,
    modules: tuple[int, int, int] = (1, 4, 3),
    blocks: int = 4,
    stem: int = 64,
    spacing: bool = False,
) -> nn.Module:
    """An HRNet and maps of twice its size, followed by `blocks`."""
    backbone = backbones.HRNet(width, modules=modules, blocks=blocks, stem=stem)
    return PoseNetwork(backbone, HigherHead(keypoints, width, blocks=blocks, spacing=spacing))


_HIGHER = bottom_up(
    name="higherhrnet_w32",
    paper="arXiv 1908.10357",
    summary="associative embedding with maps of twice the size: HRNet-W32",
    build=build,
    classes_key="head.final_layers.0.weight",
    published=mmpose("bottom_up/higher_hrnet32_coco_512x512-8ae85183_20200713", 67.7),
    mapping={
        **OLD_HEAD,
        **backbones.AUTHORS,
        **{f"^{part}": f"head.{part}" for part in ("final_layers.", "deconv_layers.")},
    },
)


def _udp(name: str, build: Mapping[str, Any], file: str, ap: float) -> Variant:
    return _HIGHER.derive(
        f"higherhrnet_{name}_udp",
        f"HigherHRNet with unbiased data processing: HRNet-{name.upper()}",
        mmpose(f"bottom_up/{file}", ap),
        build={**build, "spacing": True},
        input=WARP.placed(spacing=True),
    )


VARIANTS = (
    _HIGHER,
    _HIGHER.derive(
        "higherhrnet_w32_640",
        "HigherHRNet: HRNet-W32, images of 640 px",
        mmpose("bottom_up/higher_hrnet32_coco_640x640-a22fe938_20200712", 68.6),
        build={},
        input=LARGE_WARP,
    ),
    _HIGHER.derive(
        "higherhrnet_w48",
        "HigherHRNet: HRNet-W48",
        mmpose("bottom_up/higher_hrnet48_coco_512x512-60fedcbc_20200712", 68.6),
        build={"width": 48},
    ),
    _HIGHER.derive(
        "higherhrnet_w48_640",
        "HigherHRNet: HRNet-W48, images of 640 px",
        Published(None, 69.9),  # the authors keep theirs on a drive
        build={"width": 48},
        input=LARGE_WARP,
    ),
    _udp("w32", {}, "higher_hrnet32_coco_512x512_udp-8cc64794_20210222", 67.8),
    _udp("w48", {"width": 48}, "higher_hrnet48_coco_512x512_udp-7cad61ef_20210222", 69.0),
    _HIGHER.derive("higherhrnet_test", "tiny HigherHRNet for tests", build=TINY, input=TEST_WARP),
)
ALIASES = {"higherhrnet": "higherhrnet_w32"}
