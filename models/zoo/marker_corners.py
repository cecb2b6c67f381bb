"""A network for the four corners of a printed code or marker: SimpleBaseline (arXiv 1804.06208) with the lateral
connections of an FPN (arXiv 1612.03144)."""

from torch import nn

from ...deploy.contract.fusion import Fusion
from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Heatmaps
from ..backbones.resnet import R18
from ..heads.heatmap import LateralHead
from ..labels import MARKERS
from ..pose import CROP, PoseNetwork, top_down
from ..skeletons import QUADRILATERAL
from ..variant import WEIGHTS


def build(keypoints: int, *, width: int = 16, widths: tuple[int, int, int] = (64, 48, 32)) -> nn.Module:
    """A ResNet-18 with a stem of `width` channels, and one twofold upsampling per entry of `widths`."""
    backbone = R18(width=width)
    return PoseNetwork(backbone, LateralHead(keypoints, backbone.channels, widths))


VARIANTS = (
    top_down(
        name="corners_markers",
        paper="arXiv 1804.06208",
        summary="small network that finds the corners of printed codes and markers; bundled",
        build=build,
        form=Heatmaps("paraboloid", flip=False),
        classes_key="head.final_layer.weight",
        input=CROP.placed(size=(192, 192), spacing=True),
        # Scores and suppression are left to the detector.
        fusion=Fusion(1.0, 0.0),
        suppress=Suppress("none", conf=0.0),
        labels=MARKERS,
        skeleton=QUADRILATERAL,
        bundled=WEIGHTS / "corners_markers.safetensors",
    ),
)
ALIASES: dict[str, str] = {}
