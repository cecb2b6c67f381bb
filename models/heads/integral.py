"""Integral regression (Sun et al., "Integral Human Pose Regression", arXiv 1711.08229) in configurations: a head of
maps whose keypoints are expectations."""

from dataclasses import replace

from ...deploy.forms import Heatmaps
from ..config.codecs import read_codec
from ..config.parts import Head, Trunk
from ..config.section import Section
from .heatmap import read_layers


def from_config(section: Section, trunk: Trunk) -> Head:
    """OpenMMLab's IntegralRegressionHead and DSNTHead."""
    decoder = section.section("decoder") or section.refuse("decoder", "a codec")
    codec = read_codec(decoder)
    if not isinstance(codec.form, Heatmaps) or codec.form.method != "integral":
        decoder.refuse("type", "RegressionLabel, IntegralRegressionLabel")
    height, width = codec.size
    section.same("in_featuremap_size", (width // trunk.strides[-1], height // trunk.strides[-1]))
    section.training("lambda_t")
    build, stride = read_layers(section, trunk)
    upsamples = bool(build.keywords["widths"])
    if not upsamples and build.keywords["convs"]:
        section.refuse("conv_out_channels", "None without deconv_out_channels")
    # Places are mirrored, not maps: x becomes width - 1 - x in the crop, with shift_coords.
    form = replace(
        codec.form,
        beta=section.number("beta", 1.0),
        debias=section.flag("debias", False),
        shift=1 - 1 / stride,
    )
    return Head(
        build,
        section.integer("num_joints"),
        "head.final_layer.weight",
        form,
        size=codec.size,
        mapping={"^head.simplebaseline_head.": "head."} if upsamples else {},
        unused=("head.linspace_",),
    )
