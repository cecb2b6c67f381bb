"""CDPN: Coordinates-based disentangled pose network for real-time RGB-based 6-DoF object pose estimation (Li et al.,
ICCV 2019)."""

from dataclasses import replace

from torch import Tensor, nn

from ...deploy.contract.fusion import Fusion
from ...deploy.contract.solid import Solid
from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Surface
from ...deploy.inputs.zoom import Zoom
from ..backbones.resnet import R34, TINY, Backbone
from ..variant import AS_IS_BGR, Published, Variant

_STRIDE = 32


class CoordinateNetwork(nn.Module):
    """Crops (n, 3, side, side) to `surface` (n, 4, side / 4, side / 4) and `translation` (n, 3), in fp32.

    `surface` holds for each pixel the point of the object that it shows, relative to the object's extent, and how sure
    it is that it shows the object (section 3.2); `translation` is scale-invariant (section 3.3). `width` are the
    channels of both heads, `hidden` those of the second one's layers.
    """

    def __init__(self, backbone: Backbone, side: int, width: int, hidden: int) -> None:
        super().__init__()
        self.backbone = backbone()
        channels = self.backbone.channels[-1]
        self.rot_head_net, self.trans_head_net = nn.Module(), nn.Module()
        layers: list[nn.Module] = []
        for i in range(3):
            layers += _normed(nn.ConvTranspose2d(width if i else channels, width, 3, 2, 1, 1, bias=False))
            for _ in range(2):
                layers += _normed(nn.Conv2d(width, width, 3, 1, 1, bias=False))
        self.rot_head_net.features = nn.ModuleList([*layers, nn.Conv2d(width, 4, 1)])
        layers = []
        for i in range(3):
            layers += _normed(nn.Conv2d(width if i else channels, width, 3, 1, 1, bias=False))
        self.trans_head_net.features = nn.ModuleList(layers)
        cells = (side // _STRIDE) ** 2
        self.trans_head_net.linears = nn.ModuleList(
            [nn.Linear(width * cells, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 3)]
        )

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        level = self.backbone(image.to(self.backbone.conv1.weight.dtype))[-1]
        surface = translation = level
        for layer in self.rot_head_net.features:
            surface = layer(surface)
        for layer in self.trans_head_net.features:
            translation = layer(translation)
        translation = translation.flatten(1)
        for layer in self.trans_head_net.linears:
            translation = layer(translation)
        return {"surface": surface.float(), "translation": translation.float()}


def _normed(convolution: nn.Conv2d | nn.ConvTranspose2d) -> list[nn.Module]:
    return [convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU()]


def build(
    classes: int, *, backbone: Backbone = R34, side: int = 256, width: int = 256, hidden: int = 4096
) -> nn.Module:
    return CoordinateNetwork(backbone, side, width, hidden)


_CROP = replace(AS_IS_BGR, place=Zoom((256, 256), enlarge=(1.5, 1.5)), std=(255.0, 255.0, 255.0))
_CDPN = Variant(
    name="cdpn_r34",
    paper="doi 10.1109/ICCV.2019.00777",
    summary="pose of the rigid object in a crop: coordinates of its surface and a translation, ResNet-34",
    build=build,
    form=Surface(),
    classes_key="rot_head_net.features.27.bias",
    beside_classes=3,
    input=_CROP,
    fusion=Fusion(1.0, 1.0),
    suppress=Suppress("none", conf=0.0),
    labels=("object",),
    published=Published(None),
)

VARIANTS = (
    _CDPN,
    _CDPN.derive(
        "cdpn_test",
        "tiny CDPN for tests",
        build={"backbone": TINY, "side": 64, "width": 16, "hidden": 32},
        form=Surface(Solid((-40.0, -30.0, -20.0), (40.0, 30.0, 20.0))),
        input=_CROP.placed(size=(64, 64)),
    ),
)
ALIASES = {"cdpn": "cdpn_r34"}
