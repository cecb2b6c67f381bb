"""SA-Text, lines of text of any shape as maps of their middles (arXiv 1911.07046), in the layout of the port
saicoco/SA-Text."""

from torch import nn

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Dilated
from ..backbones.resnet import R50, TINY, Backbone
from ..detector import HeatmapDetector
from ..heads.text import MapHead
from ..necks.merging import ConcatenatedFPN
from ..variant import RGB, Variant
from .east import TEXT


def build(classes: int, *, backbone: Backbone = R50, channels: int = 256, out_channels: int = 128) -> nn.Module:
    """An SA-Text."""
    trunk = backbone()
    neck = ConcatenatedFPN(trunk.channels, channels, out_channels)
    return HeatmapDetector(trunk, neck, MapHead(out_channels))


_SA_TEXT = Variant(
    name="satext_r50",
    paper="arXiv 1911.07046",
    summary="text as the middles of its lines, which are dilated by their thickness: ResNet-50",
    build=build,
    form=Dilated(),
    classes_key="bbox_head.convs.map.weight",
    input=RGB.placed(size=(784, 784), by="sides"),
    suppress=Suppress("polygons", conf=0.3, iou=0.5, max_det=1000),
    labels=TEXT,
    published=None,
    mapping={
        "^toplayer.": "neck.laterals.0.conv.",
        "^toplayer_bn.": "neck.laterals.0.bn.",
        **{f"^latlayer{i}.": f"neck.laterals.{i}.conv." for i in (1, 2, 3)},
        **{f"^latlayer{i}_bn.": f"neck.laterals.{i}.bn." for i in (1, 2, 3)},
        **{f"^smooth{i}.": f"neck.smooth.{i - 1}.conv." for i in (1, 2, 3)},
        **{f"^smooth{i}_bn.": f"neck.smooth.{i - 1}.bn." for i in (1, 2, 3)},
        **{f"^conv{i}.": f"neck.out.{i - 2}.conv." for i in (2, 3)},
        **{f"^bn{i}.": f"neck.out.{i - 2}.bn." for i in (2, 3)},
        "^gaussian_head.": "bbox_head.convs.map.",
        **{f"^{part}.": f"backbone.{part}." for part in ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4")},
    },
    unused=("decoder.", "center_head."),
)

VARIANTS = (
    _SA_TEXT,
    _SA_TEXT.derive(
        "satext_test", "tiny SA-Text for tests", build={"backbone": TINY, "channels": 16, "out_channels": 16}
    ),
)
ALIASES = {"satext": "satext_r50"}
