"""The structure of detectors: backbone, neck, head."""

from torch import Tensor, nn


class DenseDetector(nn.Module):
    """Image (n, 3, h, w) to the named outputs of its head.

    `levels` holds the indices of the backbone levels that the neck takes. The trunk runs in the type of its weights and
    the head decodes in fp32, so `half()` gives a half-precision trunk with an fp32 decode.
    """

    def __init__(
        self, backbone: nn.Module, neck: nn.Module, head: nn.Module, levels: tuple[int, ...] = (1, 2, 3)
    ) -> None:
        super().__init__()
        self.backbone, self.neck, self.bbox_head = backbone, neck, head
        self.levels = levels

    def logits(self, image: Tensor) -> dict[str, list[Tensor]]:
        """The head's raw outputs per level, for training."""
        dtype = next(self.backbone.parameters()).dtype
        features = self.backbone(image.to(dtype))
        return self.bbox_head(self.neck([features[i] for i in self.levels]))

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return self.bbox_head.decode(self.logits(image))


class HeatmapDetector(nn.Module):
    """Image (n, 3, h, w) to the named outputs of a head that reads one map.

    The map is the neck's output, or without a neck the backbone's last level. The trunk runs in the type of its weights
    and the head decodes in fp32.
    """

    def __init__(self, backbone: nn.Module, neck: nn.Module | None, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.neck, self.bbox_head = backbone, neck, head

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        dtype = next(self.backbone.parameters()).dtype
        levels = self.backbone(image.to(dtype))
        maps = self.bbox_head(levels[-1] if self.neck is None else self.neck(levels))
        return self.bbox_head.decode(maps, image.shape[2:])
