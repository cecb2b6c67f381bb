"""SPM's head (Nie et al., "Single-Stage Multi-Person Pose Machines", arXiv 1908.09220)."""

from collections.abc import Sequence

from torch import Tensor, nn


class SPMHead(nn.Module):
    """The finest level to a heatmap of centres (n, 1, h, w) and displacements (n, 2 * keypoints, h, w).

    Displacements are x and y of each keypoint, as parts of the map's diagonal. `decode` gives the outputs of the form
    `roots`.
    """

    def __init__(self, keypoints: int, in_channels: int) -> None:
        super().__init__()
        self.centre_layer = nn.Conv2d(in_channels, 1, 1)
        self.displacement_layer = nn.Conv2d(in_channels, 2 * keypoints, 1)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        return [self.centre_layer(levels[0]), self.displacement_layer(levels[0])]

    def decode(self, maps: Sequence[Tensor]) -> dict[str, Tensor]:
        centres, displacements = (x.float() for x in maps)
        return {"centres": centres, "displacements": displacements.unflatten(1, (-1, 2))}
