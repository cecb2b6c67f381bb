"""HintPose ("HintPose", arXiv 2003.02170), which refines the poses of another network.

No code is published, and what the paper leaves open is decided here: the widths, and where the maps return.
"""

from typing import Any

import torch
from torch import Tensor, nn

from ...deploy.forms import Heatmaps
from ...deploy.inputs.network_inputs import PoseInput
from ..backbones.hrnet import HRNet
from ..heads.heatmap import HeatmapHead
from ..pose import CROP, TEST_CROP, top_down
from ..skeletons import COCO_PERSON
from ..variant import Variant


class HintNetwork(nn.Module):
    """Image (n, 3, h, w) and a cue (n, 1, h, w), the place of one keypoint, to the named outputs of the head.

    The cue tells which of several people is meant. The backbone behind its stem runs `hops` times: the maps, through
    two 1x1 convolutions, are added to the stem's features for the next time.
    """

    def __init__(self, backbone: HRNet, head: HeatmapHead, keypoints: int, *, width: int = 64, hops: int = 3) -> None:
        super().__init__()
        first = backbone.conv1
        backbone.conv1 = nn.Conv2d(4, first.out_channels, 3, 2, 1, bias=False)
        channels = backbone.conv2.out_channels
        self.backbone, self.head, self.hops = backbone, head, hops
        self.feedback = nn.Sequential(nn.Conv2d(keypoints, width, 1), nn.ReLU(), nn.Conv2d(width, channels, 1))

    def forward(self, image: Tensor, pose: Tensor) -> dict[str, Tensor]:
        dtype = next(self.backbone.parameters()).dtype
        stem = self.backbone.stem(torch.cat((image, pose), 1).to(dtype))
        maps = self.head(self.backbone.levels(stem))
        for _ in range(self.hops - 1):
            maps = self.head(self.backbone.levels(stem + self.feedback(maps)))
        return self.head.decode(maps)


def build(keypoints: int, *, width: int = 32, **layers: Any) -> nn.Module:
    """An HRNet that also takes the cue. Other arguments go to it."""
    trunk = HRNet(width, **layers)
    return HintNetwork(trunk, HeatmapHead(keypoints, trunk.channels[0], ()), keypoints)


def _cue(sigma: float) -> PoseInput:
    return PoseInput(tuple(COCO_PERSON.mirrored()), sigma, keypoints="best")


_HINTPOSE: Variant = top_down(
    name="hintpose_w32",
    paper="arXiv 2003.02170",
    summary="refines the poses of another network from its best keypoint, in three hops: HRNet-W32",
    build=build,
    input=CROP,
    form=Heatmaps("quarter", shift=1.0),
    classes_key="head.final_layer.weight",
    other_inputs=(_cue(8.0),),
)

VARIANTS = (
    _HINTPOSE,
    _HINTPOSE.derive(
        "hintpose_test",
        "tiny HintPose for tests",
        build={"width": 8, "stem": 8, "modules": (1, 1, 1), "blocks": 1},
        input=TEST_CROP,
        other_inputs=(_cue(3.0),),
    ),
)
ALIASES = {"hintpose": "hintpose_w32"}
