"""Heads that predict coordinates as numbers: DeepPose (Toshev and Szegedy, arXiv 1312.4659) and RLE (Li et al., arXiv
2107.11291)."""

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from ...deploy.forms import Coordinates
from ..blocks import exact_linear
from ..config.codecs import read_codec
from ..config.parts import Head, Trunk
from ..config.section import Section
from ..necks.feature_maps import is_pooled


class RegressionHead(nn.Module):
    """The last level, pooled to one cell, to `points` (n, keypoints, 2), x and y relative to the crop.

    With `deviations` also to `deviations` (n, keypoints, 2), 0..1.
    """

    def __init__(self, keypoints: int, in_channels: int, *, deviations: bool = False) -> None:
        super().__init__()
        self.deviations = deviations
        self.fc = nn.Linear(in_channels, (4 if deviations else 2) * keypoints)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        return levels[-1].flatten(1)

    def decode(self, pooled: Tensor) -> dict[str, Tensor]:
        values = exact_linear(pooled, self.fc).unflatten(1, (-1, 4 if self.deviations else 2))
        if not self.deviations:
            return {"points": values}
        return {"points": values[..., :2], "deviations": values[..., 2:].sigmoid()}


def from_config(section: Section, trunk: Trunk) -> Head:
    """OpenMMLab's RegressionHead and RLEHead."""
    decoder = section.section("decoder") or section.refuse("decoder", "a codec")
    decoder.typed("RegressionLabel")
    codec = read_codec(decoder)
    if not is_pooled(trunk):
        section.refuse("type", "a head of maps, or neck GlobalAveragePooling before it")
    section.same("in_channels", trunk.channels[-1])
    section.training("loss")
    deviations = section.type == "RLEHead"
    return Head(
        partial(RegressionHead, in_channels=trunk.channels[-1], deviations=deviations),
        section.integer("num_joints"),
        "head.fc.weight",
        Coordinates(deviations=deviations, shift=1 / codec.size[1]),
        size=codec.size,
        unused=("head.loss_module.",),
    )
