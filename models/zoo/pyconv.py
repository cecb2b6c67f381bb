"""PyConv (arXiv 2006.11538) in SSD."""

from collections.abc import Callable
from dataclasses import replace

from torch import nn

from ..backbones.pyconv import PYCONV_50, PYCONV_HG_50, TINY_PYCONV, PyConvResNet
from ..variant import RGB, stretched
from . import ssd


def build(classes: int, *, backbone: Callable[[], PyConvResNet] = PYCONV_50, narrow: int = 1) -> nn.Module:
    """An SSD for images of 512 px on the levels at strides 8 and 16; the paper's own weights are not published.

    The layers after the backbone have 1 / `narrow` of the channels.
    """
    trunk = backbone()
    return ssd.on(trunk, classes, trunk.channels[1:3], anchors=ssd.ANCHORS_512, levels=(1, 2), narrow=narrow)


_R50 = replace(
    ssd.SSD300,
    name="pyconv_ssd512_r50",
    paper="arXiv 2006.11538",
    summary="SSD on PyConvResNet-50, images of 512 px",
    build=build,
    form=replace(ssd.SSD300.form, strides=ssd.ANCHORS_512.strides),
    input=stretched(RGB, 512, 512, multiple=1),
    published=None,
)

VARIANTS = (
    _R50,
    _R50.derive("pyconv_ssd512_hg50", "SSD on PyConvHGResNet-50, images of 512 px", build={"backbone": PYCONV_HG_50}),
    _R50.derive("pyconv_test", "tiny PyConv in SSD for tests", build={"backbone": TINY_PYCONV, "narrow": 4}),
)
ALIASES = {"pyconv": "pyconv_ssd512_r50"}
