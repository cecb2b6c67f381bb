"""G2L-Net: Global to local network for real-time 6D pose estimation with embedding vector features (arXiv
2003.11089)."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...deploy.contract.fusion import Fusion
from ...deploy.contract.solid import Solid
from ...deploy.contract.suppression import Suppress
from ...deploy.forms import SolidCorners
from ...deploy.inputs.frustum import Frustum
from ...deploy.inputs.network_inputs import PointsInput
from ..backbones.point_nets import PointFeatures, chosen_max, chosen_mean
from ..variant import Published, Variant

_OBJECTS = 16  # the length of the one-hot vector of the object's number
_CORNERS = 24  # three coordinates of eight corners


class PointwiseNet(nn.Module):
    """Features of each of the points, those of all, and the object's number, to `outputs` channels of each point."""

    def __init__(self, features: tuple[int, int, int], widths: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.feat = PointFeatures(features)
        sides = pairwise((sum(self.feat.channels) + _OBJECTS, *widths))
        for i, (before, after) in enumerate(sides, 1):
            setattr(self, f"conv{i}", nn.Conv2d(before, after, 1))
            setattr(self, f"bn{i}", nn.BatchNorm2d(after))
        self.last = f"conv{len(widths) + 1}"
        setattr(self, self.last, nn.Conv2d(widths[-1], outputs, 1))
        self.layers = len(widths)

    def forward(self, points: Tensor, chosen: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
        """The outputs (n, outputs, 1, p) and the features (n, c, 1, p) that they are made of."""
        x = self.feat(points, chosen)
        x = features = torch.cat((x, number.expand(len(x), -1, 1, x.shape[3])), 1)
        for i in range(1, self.layers + 1):
            x = torch.relu(getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(x)))
        return getattr(self, self.last)(x), features


class CentreNet(nn.Module):
    """The way from the mean of the chosen points to the object's origin, (n, 3, 1)."""

    def __init__(self, features: tuple[int, int, int], widths: tuple[int, int]) -> None:
        super().__init__()
        self.feat = _layers((3, *features), nn.Module())
        _layers((features[-1] + _OBJECTS, *widths), self)
        self.conv3 = nn.Conv1d(widths[-1], 3, 1)

    def forward(self, points: Tensor, chosen: Tensor, number: Tensor) -> Tensor:
        x = torch.relu(self.feat.bn1(self.feat.conv1(points.squeeze(2))))
        x = torch.relu(self.feat.bn2(self.feat.conv2(x)))
        x = chosen_max(self.feat.bn3(self.feat.conv3(x)).unsqueeze(2), chosen)
        x = torch.cat((x, number.expand(len(x), -1, 1, 1)), 1).squeeze(2)
        return self.conv3(self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))))


class RotationNet(nn.Module):
    """The object's corners around its origin, (n, 24, 1), from features of its points."""

    def __init__(self, inputs: int, widths: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        _layers((inputs, *widths), self)
        self.conv7 = nn.Conv1d(widths[-1], _CORNERS, 1)

    def forward(self, features: Tensor, chosen: Tensor) -> Tensor:
        x = features.squeeze(2)
        for i in (1, 2, 3):
            x = torch.relu(getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(x)))
        x = chosen_max(x.unsqueeze(2), chosen).squeeze(2)
        for i in (4, 5, 6):
            x = torch.relu(getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(x)))
        return self.conv7(x)


class ResidualNet(nn.Module):
    """What is added to the turned corners of the object, (n, 24, 1)."""

    def __init__(self, inputs: int, widths: tuple[int, int]) -> None:
        super().__init__()
        _layers((inputs, *widths), self)
        self.conv3 = nn.Conv1d(widths[-1], _CORNERS, 1)

    def forward(self, features: Tensor, chosen: Tensor) -> Tensor:
        x = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(features.squeeze(2))))))
        return self.conv3(chosen_max(x.unsqueeze(2), chosen).squeeze(2))


def _layers(sides: tuple[int, ...], module: nn.Module) -> nn.Module:
    """Give a module convolutions of points with their normalisations, under their authors' names."""
    for i, (before, after) in enumerate(pairwise(sides), 1):
        setattr(module, f"conv{i}", nn.Conv1d(before, after, 1))
        setattr(module, f"bn{i}", nn.BatchNorm1d(after))
    return module


class GlobalToLocal(nn.Module):
    """Points (n, 3, 1, p) mm, those at depth 0 being none, to what `SolidCorners` reads, in fp32.

    The object's points are told from the others, moved to their mean and then to the predicted origin of the object
    (sections 3.1 and 3.2); there each gives vectors to the corners of the object's box, which give the rotation
    (section 3.3). `number` is that of the object in its data set, 0 to 15.
    """

    def __init__(self, number: int, narrow: int) -> None:
        super().__init__()
        first, middle, wide = 64 // narrow, 128 // narrow, 1024 // narrow
        pointwise = (512 // narrow, 256 // narrow, middle, middle)
        self.Seg3D = PointwiseNet((first, middle, wide), pointwise, 2)
        nn.init.constant_(self.Seg3D.conv5.bias, 0)
        nn.init.constant_(self.Seg3D.conv5.bias[1:], 1)  # before training, most points count as the object's
        self.Tres = CentreNet((middle, 256 // narrow, 512 // narrow), (256 // narrow, middle))
        self.EVF = PointwiseNet((first, middle, wide), pointwise, _CORNERS)
        features = sum(self.EVF.feat.channels) + _OBJECTS
        self.RE = RotationNet(features + _CORNERS, (wide, 512 // narrow, *(256 // narrow,) * 2, middle, middle))
        self.R_res_E = ResidualNet(features, (256 // narrow, middle))
        one_hot = F.one_hot(torch.tensor(number), _OBJECTS).float()
        self.register_buffer("number", one_hot.view(1, -1, 1, 1), persistent=False)

    def forward(self, points: Tensor) -> dict[str, Tensor]:
        points, number = points.float(), self.number
        seen = points[:, 2:] > 0
        classes, _ = self.Seg3D(self._near(points, chosen_mean(points, seen), seen), seen, number)
        chosen = seen & (classes[:, 1:] > classes[:, :1])
        mean = chosen_mean(points, chosen)
        residual = self.Tres(self._near(points, mean, chosen), chosen, number).float()
        centre = mean + residual.unsqueeze(2)
        vectors, features = self.EVF(self._near(points, centre, chosen), chosen, number)
        corners = self.RE(torch.cat((vectors, features), 1), chosen)
        return {
            "count": chosen.flatten(1).float().sum(1, keepdim=True),
            "centre": centre.flatten(1),
            "corners": corners.flatten(1).float(),
            "residual": self.R_res_E(features, chosen).flatten(1).float(),
        }

    def _near(self, points: Tensor, centre: Tensor, chosen: Tensor) -> Tensor:
        """The chosen points relative to a centre, in the type of the weights; the others are 0."""
        return torch.where(chosen, points - centre, torch.zeros_like(points)).to(self.number.dtype)


def build(classes: int, *, number: int = 1, narrow: int = 1) -> nn.Module:
    return GlobalToLocal(number, narrow)


_LINEMOD = (
    *("ape", "benchvise", "bowl", "cam", "can", "cat", "cup", "driller"),
    *("duck", "eggbox", "glue", "holepuncher", "iron", "lamp", "phone"),
)
"""LINEMOD's objects, which have the numbers from 1 on."""


def _summary(name: str) -> str:
    return f"pose of LINEMOD's {name} from the points of a depth picture in its box"


_G2L = Variant(
    name="g2l_linemod",
    paper="arXiv 2003.11089",
    summary=_summary("ape"),
    build=build,
    form=SolidCorners(),
    classes_key="Seg3D.conv5.bias",
    beside_classes=1,
    input=PointsInput(Frustum((1, 1500), reach=102.1)),
    fusion=Fusion(1.0, 1.0),
    suppress=Suppress("none", conf=0.0),
    labels=("ape",),
    published=Published(None),
    unused=("Tres.feat.conv4.",),
)

VARIANTS = (
    _G2L,
    *(
        _G2L.derive(
            f"g2l_linemod_{name}",
            _summary(name),
            Published(None),
            build={"number": number},
            labels=(name,),
        )
        for number, name in enumerate(_LINEMOD[1:], 2)
    ),
    _G2L.derive(
        "g2l_test",
        "tiny G2L-Net for tests",
        build={"narrow": 8},
        form=SolidCorners(Solid((-40.0, -30.0, -20.0), (40.0, 30.0, 20.0))),
        input=PointsInput(Frustum((1, 96), reach=110.0)),
        labels=("object",),
    ),
)
ALIASES = {"g2l": "g2l_linemod"}
