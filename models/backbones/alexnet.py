"""AlexNet (Krizhevsky et al., "ImageNet Classification with Deep Convolutional Neural Networks", NIPS 2012), as
torchvision and OpenMMLab have it."""

from torch import Tensor, nn

from ..config.parts import Trunk
from ..config.section import Section


class AlexNet(nn.Module):
    """Image to one level at a stride of about 32: no padding keeps the last columns.

    Shapes: (n, 3, h, w), h and w at least 63, to (n, 256, h', w'); 256x192 px give 7x5.
    """

    def __init__(self) -> None:
        super().__init__()
        self.channels = (256,)
        self.features = nn.Sequential(
            *(nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2)),
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        return [self.features(image)]


def from_config(section: Section) -> Trunk:
    """OpenMMLab's AlexNet."""
    section.fixed(num_classes=-1)
    return Trunk(AlexNet, (0,), (32,), cells=_cells)


def _cells(side: int) -> int:
    """Of the last level along a side in px: the first convolution and three poolings round down."""
    side = (side - 7) // 4 + 1
    for _ in range(3):
        side = (side - 3) // 2 + 1
    return side
