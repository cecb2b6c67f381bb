"""Layouts of published checkpoints that several networks share, as tables for `Variant.mapping`."""

from collections.abc import Mapping

_STAGES, _CONVS, _LEVELS, _TOWER = range(1, 5), range(1, 4), range(3), range(4)

CVPODS = {
    "backbone.bottom_up.stem.conv1.norm.": "backbone.bn1.",
    "backbone.bottom_up.stem.": "backbone.",
    **{f"backbone.bottom_up.res{stage + 1}.": f"backbone.layer{stage}." for stage in _STAGES},
    ".shortcut.norm.": ".downsample.1.",
    ".shortcut.": ".downsample.0.",
    **{f".conv{i}.norm.": f".bn{i}." for i in _CONVS},
    ".conv2_offset.": ".conv2.conv_offset.",
    **{f"backbone.fpn_lateral{i + 3}.": f"neck.lateral_convs.{i}.conv." for i in _LEVELS},
    **{f"backbone.fpn_output{i + 3}.": f"neck.fpn_convs.{i}.conv." for i in _LEVELS},
    **{f"backbone.top_block.p{i + 3}.": f"neck.fpn_convs.{i}.conv." for i in (3, 4)},
    **{f"^head.cls_subnet.{3 * i}.": f"bbox_head.cls_convs.{i}.conv." for i in _TOWER},
    **{f"^head.cls_subnet.{3 * i + 1}.": f"bbox_head.cls_convs.{i}.gn." for i in _TOWER},
    **{f"^head.bbox_subnet.{3 * i}.": f"bbox_head.reg_convs.{i}.conv." for i in _TOWER},
    **{f"^head.bbox_subnet.{3 * i + 1}.": f"bbox_head.reg_convs.{i}.gn." for i in _TOWER},
    "^head.cls_score.": "bbox_head.conv_cls.",
    "^head.bbox_pred.": "bbox_head.conv_reg.",
    "^head.scales.": "bbox_head.scales.",
}
"""Layout of cvpods: a ResNet, a pyramid of P3 to P7, and a head with FCOS' towers."""


def benchmark_pyramid(first: int = 2) -> dict[str, str]:
    """Layout of maskrcnn-benchmark: a ResNet, and a pyramid of the levels C`first` to C5."""
    layout = {"backbone.body.stem.": "backbone.", "backbone.body.": "backbone."}
    for i in range(6 - first):
        layout[f"backbone.fpn.fpn_inner{i + first - 1}."] = f"neck.lateral_convs.{i}.conv."
        layout[f"backbone.fpn.fpn_layer{i + first - 1}."] = f"neck.fpn_convs.{i}.conv."
    return layout


def benchmark(head: Mapping[str, str], *, layers: int, step: int) -> dict[str, str]:
    """Layout of maskrcnn-benchmark: a ResNet, a pyramid of P3 to P7, towers, and `head`, the names of the last layers.

    The towers are lists of modules: `layers` convolutions, each `step` apart, 3 with a norm between them and 2 without.
    """
    towers = {"cls_tower": "cls_convs", "bbox_tower": "reg_convs"}
    layout = benchmark_pyramid(3)
    layout |= {f"backbone.fpn.top_blocks.p{i + 3}.": f"neck.fpn_convs.{i}.conv." for i in (3, 4)}
    for theirs, ours in towers.items():
        for i in range(layers):
            layout[f"rpn.head.{theirs}.{step * i}."] = f"bbox_head.{ours}.{i}.conv."
            layout[f"rpn.head.{theirs}.{step * i + 1}."] = f"bbox_head.{ours}.{i}.gn."
    layout |= {f"rpn.head.{theirs}.": f"bbox_head.{ours}." for theirs, ours in head.items()}
    # A deformable convolution is a module with two layers inside.
    return layout | {
        "rpn.head.": "bbox_head.",
        ".conv2.conv.": ".conv2.",
        ".conv.conv.": ".conv.",
        ".offset.": ".conv_offset.",
    }


BENCHMARK_UNUSED = ("anchor_generator.",)
"""Constants that maskrcnn-benchmark saves and our networks compute."""
