"""Codecs of mmpose 1.x, which define how keypoints are decoded from a head's outputs."""

from dataclasses import dataclass
from typing import Any, Literal

from ...deploy.forms import Heatmaps, Offsets, Simcc
from ...deploy.forms.keypoints import KeypointForm
from ...deploy.inputs.resize import LONGEST
from .parts import Trunk
from .section import Section

MEGVII_SCALE = 255.0
"""Value of a certain keypoint in the maps of MSPN and RSN."""


@dataclass(frozen=True)
class Codec:
    """The crop's `size` (height, width) px, the size of the maps, if there are any, and the form of the outputs."""

    size: tuple[int, int]
    map_size: tuple[int, int] | None
    form: KeypointForm


def read_codec(section: Section) -> Codec:
    """Read the `decoder` of a head."""
    height, width = read_size(section)
    read = _CODECS.get(section.type) or section.refuse("type", ", ".join(_CODECS))
    if read in (_simcc, _regression):
        return Codec((height, width), None, read(section))
    map_width, map_height = section.integers("heatmap_size", count=2)
    return Codec((height, width), (map_height, map_width), read(section))


def read_size(section: Section) -> tuple[int, int]:
    """The `input_size` of a codec as (height, width) px."""
    width, height = section.integers("input_size", count=2)
    if not (1 <= width <= LONGEST and 1 <= height <= LONGEST):
        section.refuse("input_size", f"sides of 1 to {LONGEST} px")
    return height, width


def _kernel(section: Section, key: str, most: int, *default: int) -> int:
    """The size of a Gaussian kernel, which must be odd."""
    size = section.integer(key, *default, most=most)
    return size if size % 2 else section.refuse(key, "an odd number")


def _msra(section: Section) -> KeypointForm:
    section.training("sigma")
    blur, rule = _kernel(section, "blur_kernel_size", 63, 11), _rule(section)
    if section.flag("unbiased", False):
        return Heatmaps("dark", blur=blur)
    return Heatmaps("quarter", rule=rule)


def _udp(section: Section) -> KeypointForm:
    section.training("sigma")
    blur, radius = _kernel(section, "blur_kernel_size", 31, 11), section.number("radius_factor", 0.0546875)
    rule, (width, height) = _rule(section), section.integers("heatmap_size", count=2)
    if section.choice("heatmap_type", {"gaussian": False, "combined": True}, "gaussian"):
        if rule == "mmpose0":
            return Offsets(radius * height, blur=2 * blur + 1, offset_blur=blur)
        return Offsets(radius * max(width, height), blur=2 * blur + 1)
    return Heatmaps("udp", blur=blur, rule=rule)


def _rule(section: Section) -> Literal["mmpose", "mmpose0"]:
    """How maps are decoded; `mmpose0.py` adds this key."""
    return section.choice("rule", _RULES, "mmpose")


_RULES: dict[Any, Literal["mmpose", "mmpose0"]] = {"mmpose": "mmpose", "mmpose0": "mmpose0"}


def _megvii(section: Section) -> KeypointForm:
    return Heatmaps("megvii", blur=_kernel(section, "kernel_size", 63), scale=MEGVII_SCALE)


def _simcc(section: Section) -> KeypointForm:
    section.training("smoothing_type", "label_smooth_weight", "normalize")
    section.training("decode_visibility", "decode_beta")  # of a visibility beside the score
    split = section.number("simcc_split_ratio", 2.0)
    if not section.flag("use_dark", False):
        section.training("sigma")
        return Simcc(split)
    sigmas = (section.number("sigma"),) * 2 if section.is_number("sigma") else section.numbers("sigma", count=2)
    x, y = (int((20 * sigma - 7) // 3) for sigma in sigmas)
    return Simcc(split, dark=(x - (x % 2 == 0), y - (y % 2 == 0)))


def _regression(section: Section) -> KeypointForm:
    """Coordinates; those of supported heads are expectations over a map."""
    section.training("heatmap_size", "sigma", "unbiased", "blur_kernel_size", "normalize")
    return Heatmaps("integral")


_CODECS = {
    "MSRAHeatmap": _msra,
    "UDPHeatmap": _udp,
    "MegviiHeatmap": _megvii,
    "SimCCLabel": _simcc,
    **dict.fromkeys(("RegressionLabel", "IntegralRegressionLabel"), _regression),
}


def check_bins(section: Section, trunk: Trunk, codec: Codec) -> None:
    """Refuse a SimCC head that does not match its codec or its backbone."""
    if not isinstance(codec.form, Simcc):
        section.refuse("decoder", "a SimCCLabel")
    height, width = codec.size
    section.same("in_channels", trunk.channels[-1])
    section.same("input_size", (width, height))
    section.same("in_featuremap_size", (width // 32, height // 32))
    section.same("simcc_split_ratio", codec.form.split, 2.0)
