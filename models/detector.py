"""The shape that every dense detector has: backbone, neck, head."""

from torch import Tensor, nn


class DenseDetector(nn.Module):
    """Image (n, 3, h, w) to the named outputs of its head.

    `levels` gives the indices of the backbone levels that the neck takes. The trunk runs in the type of its
    weights and the head decodes in fp32, so `half()` makes a half-precision trunk with an exact decode.
    """

    def __init__(
        self, backbone: nn.Module, neck: nn.Module, head: nn.Module, levels: tuple[int, ...] = (1, 2, 3)
    ) -> None:
        super().__init__()
        self.backbone, self.neck, self.bbox_head = backbone, neck, head
        self.levels = levels

    def logits(self, image: Tensor) -> dict[str, list[Tensor]]:
        """The head's raw outputs per level, which training needs."""
        dtype = next(self.backbone.parameters()).dtype
        features = self.backbone(image.to(dtype))
        return self.bbox_head(self.neck([features[i] for i in self.levels]))

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return self.bbox_head.decode(self.logits(image))
