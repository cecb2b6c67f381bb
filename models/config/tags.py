"""mmpose's codec of associative embedding, and the `test_cfg` that belongs to it."""

from typing import Literal

from ...deploy.forms import Tags
from .codecs import read_size
from .section import Section


def read_tags(section: Section, keypoints: int, stride: int) -> tuple[Tags, tuple[int, int], bool]:
    """The form, the `input_size` (height, width) px, and whether lengths are measured between pixel centres.

    `section` is the head with its `decoder` and the network's `test_cfg`; `stride` is that of its maps.
    """
    decoder = section.section("decoder") or section.refuse("decoder", "an AssociativeEmbedding")
    decoder.typed("AssociativeEmbedding")
    rule: Literal["higherhrnet", "mmpose"] = decoder.choice("rule", _RULES, "mmpose")
    spacing = decoder.flag("use_udp", False)
    if rule == "mmpose":
        decoder.same("use_udp", False, False)
        decoder.same("decode_center_shift", 0.5, 0.0)
    decoder.training("sigma", "decode_gaussian_kernel")
    decoder.same("decode_nms_kernel", 5, 5)
    height, width = read_size(decoder)
    flip, enlarged = _read_test(section, rule)
    maps = (width, height) if enlarged else (width // stride, height // stride)
    if rule == "mmpose":
        decoder.same("heatmap_size", maps)
    order = decoder.integers("decode_keypoint_order", count=keypoints)
    if sorted(order) != list(range(keypoints)):
        decoder.refuse("decode_keypoint_order", "each keypoint once")
    form = Tags(
        order,
        top_k=decoder.integer("decode_topk", 30, most=1000),
        least_peak=float(decoder.number("decode_keypoint_thr", 0.1)),
        tag_distance=float(decoder.number("decode_tag_thr", 1.0)),
        flip=flip,
        rule=rule,
        enlarged=enlarged or spacing,
        people=None if decoder.is_none("decode_max_instances") else decoder.integer("decode_max_instances", None),
    )
    return form, (height, width), spacing


_RULES: dict[str, Literal["higherhrnet", "mmpose"]] = {"mmpose": "mmpose", "mmpose0": "higherhrnet"}
"""How people are grouped; `mmpose0.py` adds this key."""


def _read_test(section: Section, rule: str) -> tuple[bool, bool]:
    """Whether the mirrored image runs too, and whether maps are enlarged to the canvas."""
    test = section.section("test_cfg")
    if test is None:
        return False, False
    test.fixed(multiscale_test=False)
    test.training("output_heatmaps")  # maps beside the keypoints
    flip = test.flag("flip_test", False)
    if flip:
        test.fixed(shift_heatmap=False)
    # mmpose 1.x enlarges maps only where it averages them with those of the mirrored image.
    enlarged = test.flag("restore_heatmap_size", False) and (flip or rule != "mmpose")
    if enlarged:
        test.fixed(align_corners=False)
    test.training("shift_heatmap", "align_corners")  # of the mirrored image, and of maps that are enlarged
    return flip, enlarged
