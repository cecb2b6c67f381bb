"""CenterNet's head for poses (Zhou et al., "Objects as Points", arXiv 1904.07850, section 4.2)."""

from torch import Tensor

from .center import CenterHead, branch


class CenterPoseHead(CenterHead):
    """One map to that of a CenterHead for people, and three more for their keypoints.

    `forward` also gives `displacements` (n, 2 * keypoints, h, w) from the centre's cell to each keypoint, x and y, the
    logits `heatmaps` (n, keypoints, h, w), and `heatmap_offsets` (n, 2, h, w) of a keypoint in its cell. `decode` turns
    all into the outputs of the form `centres`.
    """

    def __init__(self, keypoints: int, in_channels: int, channels: int = 64) -> None:
        super().__init__(1, in_channels, channels)
        self.displacement_head = branch(in_channels, channels, 2 * keypoints)
        self.keypoint_head = branch(in_channels, channels, keypoints, heat=True)
        self.keypoint_offset_head = branch(in_channels, channels, 2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {
            **super().forward(x),
            "displacements": self.displacement_head(x),
            "heatmaps": self.keypoint_head(x),
            "heatmap_offsets": self.keypoint_offset_head(x),
        }

    def decode(self, maps: dict[str, Tensor], canvas: tuple[int, int]) -> dict[str, Tensor]:
        maps = {name: value.float() for name, value in maps.items()}
        return {
            "centres": maps["heat"].sigmoid(),
            "sizes": maps["size"],
            "offsets": maps["offset"],
            "displacements": maps["displacements"].unflatten(1, (-1, 2)),
            "heatmaps": maps["heatmaps"].sigmoid(),
            "heatmap_offsets": maps["heatmap_offsets"],
        }
