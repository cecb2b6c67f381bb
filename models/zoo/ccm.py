"""CCM ("Towards High Performance Human Keypoint Detection", arXiv 2002.00537)."""

from collections.abc import Sequence

from torch import nn

from ...deploy.forms import Heatmaps
from ..backbones.resnet import R50, TINY, Backbone
from ..heads.context_mixer import ContextMixerHead
from ..pose import LARGE_CROP, TEST_CROP, PoseNetwork, top_down


def build(
    keypoints: int, *, backbone: Backbone = R50, widths: Sequence[int] = (256, 256, 256), mixers: int = 3
) -> nn.Module:
    """A ResNet, transposed convolutions, and context mixers on their finest map."""
    trunk = backbone()
    return PoseNetwork(trunk, ContextMixerHead(keypoints, trunk.channels[-1], widths, mixers=mixers))


# The decoding of section 3.4: the least-squares paraboloid of the smoothed map, and the mirrored map moved by the
# misalignment of a stride of 4, which is 3/4 px.
_CCM = top_down(
    name="ccm_r50",
    paper="arXiv 2002.00537",
    summary="cascaded context mixers: ResNet-50",
    build=build,
    form=Heatmaps("paraboloid", shift=0.75),
    classes_key="head.final_layer.weight",
)

VARIANTS = (
    _CCM,
    _CCM.derive("ccm_r50_384", "cascaded context mixers: ResNet-50, crops of 384x288", build={}, input=LARGE_CROP),
    _CCM.derive(
        "ccm_test",
        "tiny CCM for tests",
        build={"backbone": TINY, "widths": (16, 16, 16), "mixers": 2},
        input=TEST_CROP,
    ),
)
ALIASES = {"ccm": "ccm_r50"}
