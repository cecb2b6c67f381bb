"""ABCNet, curved text found and read (arXiv 2002.10200), in the layout of AdelaiDet.

Its weights are for non-commercial use.
"""

from torch import nn

from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Spotted
from ..backbones.resnet import R50_CAFFE, TINY, Backbone
from ..config.detectron2.parts import trunk_names
from ..heads.abcnet import BezierHead, Recognizer, TextSpotter
from ..necks.fpn import FPN
from ..variant import CAFFE_2, Published, Variant
from .east import TEXT

_ALPHABET = "".join(map(chr, range(32, 127))) + "\N{CJK UNIFIED IDEOGRAPH-53E3}"
"""ASCII, and the sign for a character that is none of these."""


def build(
    classes: int,
    *,
    backbone: Backbone = R50_CAFFE,
    channels: int = 256,
    stacked: int = 4,
    columns: int = 32,
    steps: int = 25,
) -> nn.Module:
    """An ABCNet that reads `steps` symbols in `columns` of features. The last symbol stands for nothing."""
    trunk = backbone()
    return TextSpotter(
        trunk,
        FPN(trunk.channels, channels, 6, relu=True),
        BezierHead(classes, channels, stacked=stacked),
        Recognizer(channels, count=len(_ALPHABET) + 1, steps=steps),
        columns,
    )


def _published(name: str) -> Published:
    return Published(f"https://huggingface.co/ZjuCv/AdelaiDet/resolve/main/{name}.pth")


_HEAD, _TEXT = "^proposal_generator.fcos_head.", "^roi_heads.recognizer."
_ABCNET = Variant(
    name="abcnet_r50",
    paper="arXiv 2002.10200",
    summary="curved text between Bezier curves, found and read: ResNet-50, trained on Total-Text",
    build=build,
    form=Spotted(_ALPHABET),
    classes_key="bbox_head.conv_cls.weight",
    input=CAFFE_2.placed(size=(1000, 1824)),
    # The limit of the class score is in the graph; the final score may be lower.
    suppress=Suppress(conf=0.0, iou=0.5, clips=True),
    labels=TEXT,
    published=_published("tt_e2e_attn_R_50"),
    mapping={
        **trunk_names(2),
        **{f"{_HEAD}cls_tower.{3 * i}.": f"bbox_head.cls_convs.{i}.conv." for i in range(4)},
        **{f"{_HEAD}cls_tower.{3 * i + 1}.": f"bbox_head.cls_convs.{i}.gn." for i in range(4)},
        **{f"{_HEAD}bbox_tower.{3 * i}.": f"bbox_head.reg_convs.{i}.conv." for i in range(4)},
        **{f"{_HEAD}bbox_tower.{3 * i + 1}.": f"bbox_head.reg_convs.{i}.gn." for i in range(4)},
        f"{_HEAD}cls_logits.": "bbox_head.conv_cls.",
        f"{_HEAD}bbox_pred.": "bbox_head.conv_reg.",
        f"{_HEAD}ctrness.": "bbox_head.conv_centerness.",
        "^top_module.": "bbox_head.conv_curves.",
        **{f"^roi_heads.tower.{i}.0.": f"recognizer.tower.{i}.conv." for i in range(2)},
        **{f"^roi_heads.tower.{i}.1.": f"recognizer.tower.{i}.bn." for i in range(2)},
        **{f"{_TEXT}CRNN.convs.{i}.0.": f"recognizer.convs.{i}.conv." for i in range(2)},
        **{f"{_TEXT}CRNN.convs.{i}.1.": f"recognizer.convs.{i}.gn." for i in range(2)},
        f"{_TEXT}CRNN.rnn.rnn.": "recognizer.rnn.",
        f"{_TEXT}CRNN.rnn.embedding.": "recognizer.joined.",
        f"{_TEXT}attention.embedding.": "recognizer.embedding.",
        f"{_TEXT}attention.attn_combine.": "recognizer.combined.",
        f"{_TEXT}attention.gru.": "recognizer.gru.",
        f"{_TEXT}attention.out.": "recognizer.out.",
        f"{_TEXT}attention.vat.": "recognizer.attention.",
    },
    unused=("pixel_mean", "pixel_std"),
)

VARIANTS = (
    _ABCNET,
    _ABCNET.derive(
        "abcnet_r50_pretrained", "ABCNet: ResNet-50, before Total-Text", _published("pretrain_attn_R_50"), build={}
    ),
    _ABCNET.derive(
        "abcnet_r50_ctw1500",
        "ABCNet: ResNet-50, whole lines of up to 100 symbols, trained on CTW1500",
        _published("ctw1500_attn_R_50"),
        build={"columns": 128, "steps": 100},
        input=CAFFE_2.placed(size=(800, 1024)),
    ),
    _ABCNET.derive(
        "abcnet_r50_icdar2015",
        "ABCNet: ResNet-50, larger images, trained on ICDAR 2015",
        _published("v1_ic15_finetuned"),
        build={},
        input=CAFFE_2.placed(size=(2000, 4000)),
    ),
    _ABCNET.derive(
        "abcnet_test",
        "tiny ABCNet for tests",
        build={"backbone": TINY, "channels": 16, "stacked": 1, "steps": 5},
        mapping={},
    ),
)
ALIASES = {"abcnet": "abcnet_r50"}
