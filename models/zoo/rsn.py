"""RSN ("Learning Delicate Local Representations for Multi-Person Pose Estimation", arXiv 2003.04030)."""

from functools import partial

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Heatmaps
from ..backbones.rsn import OPENMMLAB, GatedResidualSteps, ResidualSteps, deep_top
from ..pose import CROP, mmpose, top_down
from ..variant import Published, Variant
from . import mspn

_RSN18, _RSN50 = (2, 2, 2, 2), (3, 4, 6, 3)

_STEPS = {".conv_bn_relu3.": ".conv_bn3."}  # what the authors call the last convolution of a block
_REFINED = {
    "^top.conv.": "backbone.top.top.",
    "^backbone.multi_stage_mspn.0.upsample.up4.prm.": "head.prm.",
}
_V1 = "v1/body_2d_keypoint/topdown_heatmap/coco/td-hm_"

RSN18 = top_down(
    name="rsn18",
    paper="arXiv 2003.04030",
    summary="MSPN with residual steps within each block: RSN-18",
    build=partial(mspn.build, block=ResidualSteps, blocks=_RSN18),
    form=mspn.MSPN50.form,
    classes_key=mspn.MSPN50.classes_key,
    published=mmpose(f"{_V1}rsn18_8xb32-210e_coco-256x192-9049ed09_20221013", 70.4),
    **mspn.openmmlab_layout(1, OPENMMLAB),
)


def _openmmlab(name: str, stages: int, digest: str, ap: float) -> Variant:
    return RSN18.derive(
        name,
        f"RSN-50 in {stages} stages" if stages > 1 else "RSN-50",
        mmpose(f"{_V1}{name}_8xb32-210e_coco-256x192-{digest}_20221013", ap),
        build={"stages": stages, "blocks": _RSN50},
        **mspn.openmmlab_layout(stages, OPENMMLAB),
    )


RSN50 = _openmmlab("rsn50", 1, "c35901d5", 72.4)

VARIANTS = (
    RSN18,
    RSN50,
    _openmmlab("2xrsn50", 2, "9ede341e", 74.8),
    _openmmlab("3xrsn50", 3, "c3e3c4fe", 75.0),
    mspn.by_authors(RSN18, "rsn18", 1, 70.4, _STEPS),
    # The AP of these was measured in another framework, before the authors moved to PyTorch.
    mspn.by_authors(RSN50, "rsn50", 1, 74.7, _STEPS),
    mspn.by_authors(RSN50, "2xrsn50", 2, 77.2, _STEPS),
    mspn.by_authors(RSN50, "3xrsn50", 3, 78.2, _STEPS),
    mspn.by_authors(RSN50, "4xrsn50", 4, 79.0, _STEPS),
    mspn.by_authors(RSN50, "4xrsn50_384", 4, 79.6, _STEPS),
    RSN18.derive(
        "rsn18_prm",
        "RSN-18 with gates and the pose refine machine, by UDP's authors",
        Published(None, 74.7),
        build={"block": GatedResidualSteps, "top": deep_top, "refine": True, "bias": True},
        form=Heatmaps("udp", blur=7, scale=mspn.SCALE, least_score=None),
        input=mspn.AUTHORS_CROP.placed(spacing=True),
        suppress=Suppress("none", conf=0.0),
        **mspn.authors_layout(1, _STEPS | _REFINED),
    ),
    RSN18.derive(
        "rsn_test",
        "tiny RSN for tests",
        build={"stages": 2, "blocks": (1, 1, 1, 1), "width": 8, "channels": 16},
        input=CROP.placed(size=(96, 64)),
        **mspn.openmmlab_layout(2, OPENMMLAB),
    ),
)
ALIASES = {"rsn": "2xrsn50", "4xrsn50": "4xrsn50_authors", "td_rsn18": "rsn18", "td_rsn50": "rsn50"}
