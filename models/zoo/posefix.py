"""PoseFix ("PoseFix: Model-agnostic General Human Pose Refinement Network", arXiv 1812.03595)."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from ...deploy.forms import Heatmaps
from ...deploy.inputs.network_inputs import PoseInput
from ..backbones.resnet import R50, R101, R152, TINY, Backbone
from ..heads.heatmap import HeatmapHead
from ..pose import CROP, LARGE_CROP, TEST_CROP, PoseNetwork, top_down
from ..skeletons import COCO_PERSON
from ..variant import Published, Variant, spelled

_NORM_EPS = 1e-9


class RefinementNetwork(PoseNetwork):
    """Image (n, 3, h, w) and a given pose as maps (n, keypoints, h, w) to the named outputs of the head."""

    def forward(self, image: Tensor, pose: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
        return super().forward(torch.cat((image, pose), 1))


def build(keypoints: int, *, backbone: Backbone = R152, width: int = 256) -> nn.Module:
    """A ResNet that also takes one map per keypoint, and three transposed convolutions."""
    trunk = backbone(norm_eps=_NORM_EPS)
    old = trunk.conv1
    trunk.conv1 = nn.Conv2d(3 + keypoints, old.out_channels, 7, 2, 3, bias=False)
    head = HeatmapHead(keypoints, trunk.channels[-1], (width,) * 3)
    for module in head.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = _NORM_EPS
    return RefinementNetwork(trunk, head)


_UNITS = range(1, 37)
AUTHORS = {
    **{f"^resnet_v1_{depth}.": "backbone." for depth in (50, 101, 152)},
    **{f".block{i}.unit_{j}.bottleneck_v1.": f".layer{i}.{j - 1}." for i in range(1, 5) for j in _UNITS},
    ".shortcut.bn.": ".downsample.1.",
    ".shortcut.": ".downsample.0.",
    **{f".conv{i}.bn.": f".bn{i}." for i in range(1, 4)},
    **{f"^up{i + 1}.bn.": f"head.deconv_layers.{3 * i + 1}." for i in range(3)},
    **{f"^up{i + 1}.": f"head.deconv_layers.{3 * i}." for i in range(3)},
    "^out.": "head.final_layer.",
}
"""The authors' TensorFlow names of layers, with dots, and PyTorch's of their parameters."""

_COLORS = {"color": "bgr", "mean": (123.68, 116.78, 103.94), "std": (1.0, 1.0, 1.0)}


def _pose(sigma: float) -> PoseInput:
    return PoseInput(tuple(COCO_PERSON.mirrored()), sigma, peak=255.0)


_POSEFIX = top_down(
    name="posefix_r152_384",
    paper="arXiv 1812.03595",
    summary="refines the poses of another network: ResNet-152, crops of 384x288",
    build=build,
    form=Heatmaps("integral", shift=0.75),  # places are mirrored, as in integral regression
    classes_key="head.final_layer.weight",
    published=Published(None, 77.3),
    input=replace(LARGE_CROP, **_COLORS),
    other_inputs=(_pose(9.0),),
    mapping=AUTHORS,
)


def _variant(on: str, backbone: Backbone) -> Variant:
    large = on.endswith("_384")
    return _POSEFIX.derive(
        f"posefix_{on}",
        f"refines the poses of another network: {spelled(on)}",
        build={"backbone": backbone},
        input=replace(LARGE_CROP if large else CROP, **_COLORS),
        other_inputs=(_pose(9.0 if large else 7.0),),
    )


VARIANTS = (
    _POSEFIX,
    _variant("r50", R50),
    _variant("r101", R101),
    _variant("r152", R152),
    _variant("r50_384", R50),
    _variant("r101_384", R101),
    _POSEFIX.derive(
        "posefix_test",
        "tiny PoseFix for tests",
        build={"backbone": TINY, "width": 16},
        input=replace(TEST_CROP, **_COLORS),
        other_inputs=(_pose(3.0),),
    ),
)
ALIASES = {"posefix": "posefix_r152_384"}
