"""MSPN ("Rethinking on Multi-Stage Networks for Human Pose Estimation", arXiv 1901.00148)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Heatmaps
from ..backbones.mspn import MSPN, SHORTCUT
from ..blocks import add_biases
from ..heads.mspn import MSPNHead
from ..pose import CROP, OLD_HEAD, PoseNetwork, mmpose, top_down
from ..variant import Published, Variant

_UNITS = 4
SCALE = 255.0
"""Value of a certain keypoint in the maps of MSPN and RSN."""


def build(
    keypoints: int, *, stages: int = 1, channels: int = 256, bias: bool = False, refine: bool = False, **trunk: Any
) -> nn.Module:
    """An MSPN with only the last unit's prediction. The authors' convolutions have a `bias` before norms."""
    network = PoseNetwork(MSPN(stages, channels=channels, **trunk), MSPNHead(keypoints, channels, refine=refine))
    return add_biases(network) if bias else network


def openmmlab_layout(stages: int, names: Mapping[str, str]) -> dict[str, Any]:
    """The `mapping` and `unused` of mmpose's checkpoints. All predictions but the last are only for training."""
    last = _UNITS * stages - 1
    return {
        "mapping": {**OLD_HEAD, f"^head.predict_layers.{last}.": "head.", **names},
        "unused": tuple(f"head.predict_layers.{unit}." for unit in range(last)),
    }


def authors_layout(stages: int, names: Mapping[str, str]) -> dict[str, Any]:
    """The `mapping` and `unused` of the authors' checkpoints of MSPN or RSN, whose blocks have different `names`."""
    last = f"backbone.multi_stage_mspn.{stages - 1}.upsample.up{_UNITS}."
    units = [f"^stage{i}.upsample.up{j + 1}." for i in range(stages) for j in range(_UNITS)]
    return {
        "mapping": {
            "^top.conv.": "backbone.top.top.0.",
            **{f"^stage{i}.": f"backbone.multi_stage_mspn.{i}." for i in range(stages)},
            **{f"^{last}res_conv{i + 1}.": f"head.conv_layers.{i}." for i in range(2)},
            ".u_skip.": ".in_skip.",
            ".skip1.": ".out_skip1.",
            ".skip2.": ".out_skip2.",
            **names,
        },
        "unused": tuple(f"{unit}res_conv" for unit in units[:-1]),
    }


AUTHORS_CROP = replace(
    CROP.placed(enlarge=(1.09, 1.135)), color="bgr", mean=(103.53, 116.28, 123.675), std=(57.375, 57.12, 58.395)
)
"""The crop of a person by the authors of MSPN and RSN."""

_BOTTLENECK = {
    **{f".conv_bn_relu{i}.conv.": f".conv{i}." for i in (1, 2, 3)},
    **{f".conv_bn_relu{i}.bn.": f".bn{i}." for i in (1, 2, 3)},
    **SHORTCUT,
}

MSPN50 = top_down(
    name="mspn50",
    paper="arXiv 1901.00148",
    summary="stages that go down and up one after another: a single one",
    build=build,
    form=Heatmaps("megvii", blur=5, scale=SCALE),
    classes_key="head.conv_layers.1.conv.weight",
    suppress=Suppress("none", conf=0.0),
    published=mmpose("top_down/mspn/mspn50_coco_256x192-8fbfb5d0_20201123", 72.3),
    **openmmlab_layout(1, SHORTCUT),
)


def by_authors(variant: Variant, on: str, stages: int, ap: float, names: Mapping[str, str]) -> Variant:
    """The authors' version, with published weights on a web drive."""
    large = on.endswith("_384")
    return variant.derive(
        f"{on}_authors",
        f"{on.removesuffix('_384')} by its authors" + (", crops of 384x288" if large else ""),
        Published(None, ap),
        build={"stages": stages, "bias": True},
        form=Heatmaps("second_peak", blur=5, scale=SCALE, least_score=None),
        input=AUTHORS_CROP.placed(size=(384, 288)) if large else AUTHORS_CROP,
        **authors_layout(stages, names),
    )


def _openmmlab(stages: int, digest: str, ap: float) -> Variant:
    return MSPN50.derive(
        f"{stages}xmspn50",
        f"MSPN in {stages} stages",
        mmpose(f"top_down/mspn/{stages}xmspn50_coco_256x192-{digest}_20201123", ap),
        build={"stages": stages},
        **openmmlab_layout(stages, SHORTCUT),
    )


VARIANTS = (
    MSPN50,
    _openmmlab(2, "c8765a5c", 75.4),
    _openmmlab(3, "e348f18e", 75.8),
    _openmmlab(4, "7b837afb", 76.5),
    by_authors(MSPN50, "mspn50", 1, 71.5, _BOTTLENECK),
    by_authors(MSPN50, "2xmspn50", 2, 74.5, _BOTTLENECK),
    by_authors(MSPN50, "3xmspn50", 3, 75.2, _BOTTLENECK),
    by_authors(MSPN50, "4xmspn50", 4, 75.9, _BOTTLENECK),
    by_authors(MSPN50, "4xmspn50_384", 4, 76.9, _BOTTLENECK),
    MSPN50.derive(
        "mspn_test",
        "tiny MSPN for tests",
        build={"stages": 2, "blocks": (1, 1, 1, 1), "width": 8, "channels": 16},
        input=CROP.placed(size=(96, 64)),
        **openmmlab_layout(2, SHORTCUT),
    ),
)
ALIASES = {"mspn": "2xmspn50", "td_mspn50": "mspn50", "td_2xmspn50": "2xmspn50"}
