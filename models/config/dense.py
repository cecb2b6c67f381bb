"""Keys that configurations of dense heads share."""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from ..anchors import Anchors
from ..blocks import Norm
from .norms import normed
from .parts import Neck
from .section import Section

GROUPS = Norm("gn", groups=32)
"""The default of most heads."""


def read_towers(
    section: Section, neck: Neck, kind: type[nn.Module], norm: Norm | None, *, stacked: int = 4
) -> Callable[..., Callable[[int], nn.Module]]:
    """Read the keys that all dense heads share, and return a builder that takes the head's other arguments."""
    section.same("in_channels", neck.channels)
    section.fixed(conv_cfg=None)
    check_classes(section)

    def build(**own: Any) -> Callable[[int], nn.Module]:
        network = partial(
            kind,
            channels=section.integer("feat_channels", 256),
            in_channels=neck.channels,
            stacked=section.integer("stacked_convs", stacked),
            norm=norm and norm.kind,
            **own,
        )
        return normed(network, norm)

    return build


def check_classes(section: Section) -> None:
    """Refuse softmax classification, and ignore all other keys of the losses."""
    section.training("loss_bbox", "loss_centerness", "loss_dfl")
    loss = section.section("loss_cls")
    if loss is not None:
        if not loss.flag("use_sigmoid", False):
            loss.refuse("use_sigmoid", "True")
        loss.rest_trains()


def read_anchors(
    section: Section,
    neck: Neck,
    usual: Anchors | None = None,
    *,
    key: str = "anchor_generator",
    with_legacy: bool = False,
) -> Anchors:
    """Read the generator of anchors of a head on the levels of its neck."""
    anchors = section.section(key)
    if anchors is None:
        if usual is None or usual.strides != neck.strides:
            section.refuse(key, "an AnchorGenerator")
        return usual
    anchors.same("strides", neck.strides)
    return Anchors.from_config(anchors, with_legacy=with_legacy)


def read_deltas(
    section: Section,
    usual: tuple[float, ...],
    key: str = "bbox_coder",
    *,
    inclusive: bool = False,
    clips: bool = True,
) -> tuple[float, ...]:
    """Read the stds of deltas in a coder of boxes, which is that of mmdet 1.x if they are `inclusive`.

    It clips them, or does not.
    """
    kind = "LegacyDeltaXYWHBBoxCoder" if inclusive else "DeltaXYWHBBoxCoder"
    coder = section.section(key)
    if coder is None:
        return section.refuse(key, f"a {kind}") if inclusive else usual
    coder.typed(kind)
    coder.fixed(target_means=(0.0,) * 4, clip_border=clips, add_ctr_clamp=False, ctr_clamp=32, use_box_type=False)
    return coder.numbers("target_stds", (1.0,) * 4, count=4)


def read_squares(section: Section, neck: Neck, key: str = "anchor_generator", usual: Anchors | None = None) -> Anchors:
    """Read the generator of the one square anchor of every cell, centred at its corner."""
    squares = read_anchors(section, neck, usual, key=key)
    if squares.ratios != (1.0,) or len(squares.scales) > 1 or squares.centre:
        section.refuse(key, "one square anchor a cell with center_offset 0")
    return squares


def check_strides(section: Section, neck: Neck) -> None:
    """Refuse strides that differ from those of the neck's levels."""
    section.same("strides", neck.strides, (4, 8, 16, 32, 64))


def check_points(section: Section) -> None:
    """Refuse a `bbox_coder` that does not decode distances from points."""
    coder = section.section("bbox_coder")
    if coder is not None:
        coder.typed("DistancePointBBoxCoder")
        coder.fixed(clip_border=True, use_box_type=False)


def read_bias(section: Section) -> bool:
    """Whether the convolutions of a tower have biases before norms."""
    bias = section.choice("conv_bias", {"auto": False, True: True, False: None}, "auto")
    return section.refuse("conv_bias", "'auto' or True") if bias is None else bias
