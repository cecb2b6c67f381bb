"""YOLOX' head (Ge et al., "YOLOX: Exceeding YOLO Series in 2021", arXiv 2107.08430, section 2.1)."""

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from ...deploy.contract.fusion import Fusion
from ...deploy.forms import Dense
from ..blocks import ConvAct, Norm, start_head
from ..coders import shifts_to_boxes
from ..config.dense import check_classes
from ..config.norms import batch_norm, normed
from ..config.parts import Head, Neck
from ..config.section import Section
from ..config.thresholds import ALL, read_suppression
from ..config.trunks import check_activation
from ..csp import Convolution, Separable
from ..points import grid_points, points_first


class YOLOXHead(nn.Module):
    """Pyramid levels to class scores, boxes and objectness for every point; each level has its own layers.

    `forward` gives per level `classes` (n, classes, h, w) and `quality` (n, 1, h, w), the objectness, both logits, and
    `boxes` (n, 4, h, w): the shift of the centre from the point and the logarithm of the sides, in strides. `conv`
    builds the layers of the branches.
    """

    def __init__(
        self,
        classes: int,
        channels: int = 256,
        *,
        strides: Sequence[int] = (8, 16, 32),
        stacked: int = 2,
        conv: Convolution = ConvAct,
        in_channels: int | None = None,
    ) -> None:
        super().__init__()
        self.strides = tuple(strides)
        widths = [in_channels or channels] + [channels] * (stacked - 1)

        def branches() -> nn.ModuleList:
            return nn.ModuleList(nn.Sequential(*(conv(width, channels, 3) for width in widths)) for _ in strides)

        def outputs(count: int) -> nn.ModuleList:
            return nn.ModuleList(nn.Conv2d(channels, count, 1) for _ in strides)

        self.multi_level_cls_convs, self.multi_level_reg_convs = branches(), branches()
        self.multi_level_conv_cls = outputs(classes)
        self.multi_level_conv_reg = outputs(4)
        self.multi_level_conv_obj = outputs(1)
        for classifier in (*self.multi_level_conv_cls, *self.multi_level_conv_obj):
            start_head(classifier, classifier)

    def forward(self, levels: Sequence[Tensor]) -> dict[str, list[Tensor]]:
        boxes = [convs(x) for convs, x in zip(self.multi_level_reg_convs, levels, strict=True)]
        classes = [convs(x) for convs, x in zip(self.multi_level_cls_convs, levels, strict=True)]
        return {
            "classes": [conv(x) for conv, x in zip(self.multi_level_conv_cls, classes, strict=True)],
            "boxes": [conv(x) for conv, x in zip(self.multi_level_conv_reg, boxes, strict=True)],
            "quality": [conv(x) for conv, x in zip(self.multi_level_conv_obj, boxes, strict=True)],
        }

    def decode(self, logits: dict[str, list[Tensor]]) -> dict[str, Tensor]:
        """`scores` (n, a, classes), `boxes` (n, a, 4) xyxy px and the objectness as `quality` (n, a), in fp32."""
        flat = {name: points_first(levels).float() for name, levels in logits.items()}
        points, strides = grid_points([x.shape[2:] for x in logits["boxes"]], self.strides, flat["boxes"])
        return {
            "boxes": shifts_to_boxes(flat["boxes"], points, strides),
            "scores": flat["classes"].sigmoid(),
            "quality": flat["quality"].sigmoid().squeeze(-1),
        }


def from_config(section: Section, neck: Neck) -> Head:
    """OpenMMLab's YOLOXHead, which limits neither candidates nor detections."""
    section.same("in_channels", neck.channels)
    section.same("strides", neck.strides, (8, 16, 32))
    section.fixed(conv_cfg=None, dcn_on_last_conv=False, conv_bias="auto")
    check_classes(section)
    section.training("loss_obj", "loss_l1")
    check_activation(section, "Swish", "SiLU")
    test = section.section("test_cfg") or section.refuse("test_cfg", "a dict")
    test.training("nms_pre", "max_per_img", "min_bbox_size")  # without effect here
    network = partial(
        YOLOXHead,
        channels=section.integer("feat_channels", 256),
        in_channels=neck.channels,
        strides=neck.strides,
        stacked=section.integer("stacked_convs", 2, most=64),
        conv=Separable if section.flag("use_depthwise", False) else ConvAct,
    )
    return Head(
        normed(network, batch_norm(section, Norm("bn", 1e-3))),
        section.integer("num_classes"),
        "bbox_head.multi_level_conv_cls.0.weight",
        Dense(neck.strides, top_k=ALL, unit="best", clip="none"),
        Fusion(1.0, 1.0, threshold_by="fused", rank_by="fused"),
        suppress=read_suppression(test),
    )
