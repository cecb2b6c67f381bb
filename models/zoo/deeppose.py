"""DeepPose ("DeepPose: Human Pose Estimation via Deep Neural Networks", arXiv 1312.4659), and trained with residual
log-likelihoods (RLE, "Human Pose Regression with Residual Log-likelihood Estimation", arXiv 2107.11291)."""

from dataclasses import replace

from torch import nn

from ...deploy.forms import Coordinates
from ..backbones.resnet import R50, R101, R152, TINY, Backbone
from ..heads.regression import RegressionHead
from ..necks.feature_maps import Pooled
from ..pose import CROP, OLD_HEAD, TEST_CROP, PoseNetwork, mmpose, top_down
from ..variant import Variant, spelled


def build(keypoints: int, *, backbone: Backbone = R50, deviations: bool = False) -> nn.Module:
    """A ResNet, its mean over the crop, and one linear layer."""
    trunk = backbone()
    head = RegressionHead(keypoints, trunk.channels[-1], deviations=deviations)
    return PoseNetwork(trunk, head, Pooled(trunk.channels))


_NEW, _OLD = "v1/body_2d_keypoint/topdown_regression/coco/td-reg_", "top_down/deeppose/deeppose_"
_SHIFT = 1 / CROP.place.size[1]
_DEEPPOSE = top_down(
    name="deeppose_r50",
    paper="arXiv 1312.4659",
    summary="keypoints as numbers: ResNet-50",
    build=build,
    form=Coordinates(shift=_SHIFT),
    classes_key="head.fc.weight",
    published=mmpose(f"{_NEW}res50_8xb64-210e_coco-256x192-72ef04f3_20220913", 54.1),
    mapping=OLD_HEAD,
)
_RLE = _DEEPPOSE.derive(
    "rle_r50",
    "keypoints as numbers with deviations (RLE): ResNet-50",
    mmpose(f"{_NEW}res50_rle-8xb64-210e_coco-256x192-d37efd64_20220913", 70.6),
    build={"deviations": True},
    paper="arXiv 2107.11291",
    form=Coordinates(deviations=True, shift=_SHIFT),
    unused=("head.loss_module.",),
)


def _larger(variant: Variant, on: str, backbone: Backbone, file: str, ap: float) -> Variant:
    kind = variant.name.partition("_")[0]
    summary = f"{variant.summary.partition(':')[0]}: {spelled(on)}"
    return variant.derive(f"{kind}_{on}", summary, mmpose(f"{_OLD}{file}", ap), build={"backbone": backbone})


def _tiny(variant: Variant, name: str) -> Variant:
    form = replace(variant.form, shift=1 / TEST_CROP.place.size[1])
    return variant.derive(name, "tiny regression for tests", build={"backbone": TINY}, input=TEST_CROP, form=form)


VARIANTS = (
    _DEEPPOSE,
    _larger(_DEEPPOSE, "r101", R101, "res101_coco_256x192-2f247111_20210205", 56.2),
    _larger(_DEEPPOSE, "r152", R152, "res152_coco_256x192-7df89a88_20210205", 58.4),
    _RLE,
    _larger(_RLE, "r101", R101, "res101_coco_256x192_rle-16c3d461_20220615", 72.2),
    _tiny(_DEEPPOSE, "deeppose_test"),
    _tiny(_RLE, "rle_test"),
)
ALIASES = {"deeppose": "deeppose_r50", "rle": "rle_r50", "reg_res50": "deeppose_r50", "reg_res50_rle": "rle_r50"}
