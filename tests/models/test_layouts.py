"""Checkpoints in the layouts of their authors' code load: every key finds its place, and nothing else is taken.

The keys are written out here as those frameworks name them, from ours.
"""

import re

import pytest
import torch

from detforge.models.checkpoint import Checkpoint, load_variant, random_model
from detforge.models.zoo import VARIANTS

BENCHMARK = [
    (r"^backbone\.(conv1|bn1)\.", r"backbone.body.stem.\1."),
    (r"^backbone\.layer", r"backbone.body.layer"),
    (r"^neck\.lateral_convs\.(\d)\.conv\.", lambda m: f"backbone.fpn.fpn_inner{int(m[1]) + 2}."),
    (r"^neck\.fpn_convs\.([012])\.conv\.", lambda m: f"backbone.fpn.fpn_layer{int(m[1]) + 2}."),
    (r"^neck\.fpn_convs\.([34])\.conv\.", lambda m: f"backbone.fpn.top_blocks.p{int(m[1]) + 3}."),
    (r"conv_offset\.", "offset."),
    (r"(conv2|_convs\.3\.conv)\.weight$", r"\1.weight"),
]


def tower(step: int):
    """Towers as lists of modules, each layer `step` of them."""
    names = {"cls": "cls_tower", "reg": "bbox_tower"}

    def rename(match: re.Match) -> str:
        return f"rpn.head.{names[match[1]]}.{int(match[2]) * step + (match[3] == 'gn')}."

    return (r"^bbox_head\.(cls|reg)_convs\.(\d)\.(conv|gn)\.", rename)


def benchmark(key: str, offsets: set[str], step: int) -> str:
    """maskrcnn-benchmark's name of one of our weights; `offsets` are our deformable convolutions."""
    owner = key.rpartition(".")[0]
    if owner in offsets:
        key = f"{owner}.conv.{key.rpartition('.')[2]}"
        key = key.replace(".conv.conv.", ".conv.#.")  # the tower's pattern takes the first
    for pattern, name in [tower(step), *BENCHMARK]:
        key = re.sub(pattern, name, key)
    key = key.replace("#", "conv")
    for ours, theirs in (("cls", "cls_logits"), ("reg", "bbox_pred"), ("centerness", "centerness")):
        key = re.sub(rf"^bbox_head\.(retina|conv|atss)_{ours}\.", f"rpn.head.{theirs}.", key)
    return key.replace("bbox_head.scales", "rpn.head.scales")


def ap_loss(key: str) -> str:
    """AP-Loss' name of one of our weights."""
    towers = {"cls": "classificationModel", "reg": "regressionModel"}
    key = re.sub(r"^neck\.lateral_convs\.(\d)\.conv\.", lambda m: f"fpn.P{int(m[1]) + 3}_1.", key)
    key = re.sub(r"^neck\.fpn_convs\.([0124])\.conv\.", lambda m: f"fpn.P{int(m[1]) + 3}_2.", key)
    key = key.replace("neck.fpn_convs.3.conv.", "fpn.P6.")
    key = re.sub(r"^bbox_head\.(cls|reg)_convs\.(\d)\.conv\.", lambda m: f"{towers[m[1]]}.conv{int(m[2]) + 1}.", key)
    key = re.sub(r"^bbox_head\.retina_(cls|reg)\.", lambda m: f"{towers[m[1]]}.output.", key)
    return key.removeprefix("backbone.")


BENCHMARKED = [
    "dr_loss_r50",
    "fcos_official_r50_1x",
    "fcos_official_imprv_dcnv2_r50_1x",
    "atss_official_r50_1x",
    "atss_official_dcnv2_r50_1x",
]


@pytest.mark.parametrize("name", [*BENCHMARKED, "ap_loss_r101"])
def test_the_authors_checkpoint_loads(name: str) -> None:
    variant = VARIANTS[name]
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in variant.build(80).state_dict().items()}
    offsets = {key.removesuffix(".conv_offset.weight") for key in shapes if key.endswith("conv_offset.weight")}
    values = {key: torch.full(shape, i + 1.0) for i, (key, shape) in enumerate(shapes.items())}
    theirs = {
        ap_loss(k) if name.startswith("ap") else benchmark(k, offsets, 2 if "dr" in name else 3): k for k in values
    }
    assert len(theirs) == len(values)
    state = {key: values[ours] for key, ours in theirs.items() if not key.endswith("num_batches_tracked")}
    if name != "ap_loss_r101":
        state["rpn.anchor_generator.cell_anchors.0"] = torch.zeros(9, 4)
        assert "backbone.body.stem.conv1.weight" in state
        assert "backbone.fpn.fpn_layer4.bias" in state
        assert "rpn.head.bbox_pred.bias" in state
    loaded = load_variant(variant, Checkpoint(state, "theirs.pth", None, None)).state_dict()
    for key, value in loaded.items():
        if not key.endswith("num_batches_tracked"):
            assert value.flatten()[0] == values[key].flatten()[0], key


def test_deformable_keys_are_those_of_maskrcnn_benchmark() -> None:
    offsets = {"bbox_head.cls_convs.3.conv", "backbone.layer2.0.conv2"}
    for ours, theirs in {
        "bbox_head.cls_convs.3.conv.weight": "rpn.head.cls_tower.9.conv.weight",
        "bbox_head.cls_convs.3.conv.conv_offset.bias": "rpn.head.cls_tower.9.offset.bias",
        "backbone.layer2.0.conv2.weight": "backbone.body.layer2.0.conv2.conv.weight",
        "backbone.layer2.0.conv2.conv_offset.weight": "backbone.body.layer2.0.conv2.offset.weight",
    }.items():
        assert benchmark(ours, offsets, 3) == theirs


def test_fcos_from_before_mmdet_2_1_loads() -> None:
    variant = VARIANTS["fcos_dcn_test"]
    state = random_model(variant).state_dict()
    old = {key.replace("bbox_head.conv_", "bbox_head.fcos_"): value for key, value in state.items()}
    old = {key.replace(".conv2.conv_offset.", ".conv2_offset."): value for key, value in old.items()}
    assert len(old.keys() - state.keys()) > 6
    loaded = load_variant(variant, Checkpoint(old, "old.pth", None, None)).state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in state.items())


YOLOX = [
    (r"^backbone\.stage(\d)\.", lambda m: f"backbone.backbone.dark{int(m[1]) + 1}."),
    (r"^backbone\.stem\.", "backbone.backbone.stem."),
    (r"^neck\.reduce_layers\.0\.", "backbone.lateral_conv0."),
    (r"^neck\.reduce_layers\.1\.", "backbone.reduce_conv1."),
    (r"^neck\.top_down_blocks\.(\d)\.", lambda m: f"backbone.C3_p{4 - int(m[1])}."),
    (r"^neck\.bottom_up_blocks\.(\d)\.", lambda m: f"backbone.C3_n{3 + int(m[1])}."),
    (r"^neck\.downsamples\.(\d)\.", lambda m: f"backbone.bu_conv{2 - int(m[1])}."),
    (r"^neck\.out_convs\.", "head.stems."),
    (r"^bbox_head\.multi_level_(cls|reg)_convs\.", r"head.\1_convs."),
    (r"^bbox_head\.multi_level_conv_(cls|reg|obj)\.", r"head.\1_preds."),
    (r"\.main_conv\.", ".conv1."),
    (r"\.short_conv\.", ".conv2."),
    (r"\.final_conv\.", ".conv3."),
    (r"\.blocks\.", ".m."),
    (r"\.depthwise_conv\.", ".dconv."),
    (r"\.pointwise_conv\.", ".pconv."),
]


NANODET = [
    (r"^neck\.", "fpn."),
    (r"^bbox_head\.", "head."),
    (r"\.depthwise_conv\.conv\.", ".depthwise."),
    (r"\.depthwise_conv\.bn\.", ".dwnorm."),
    (r"\.pointwise_conv\.conv\.", ".pointwise."),
    (r"\.pointwise_conv\.bn\.", ".pwnorm."),
]
PICODET = [
    (r"^neck\.reduce_layers\.", "neck.conv_t.convs."),
    (r"^neck\.extra_lvl_in_conv\.0\.", "neck.first_top_conv."),
    (r"^neck\.extra_lvl_out_conv\.0\.", "neck.second_top_conv."),
    (r"^bbox_head\.cls_convs\.(\d)\.(\d)\.(d|p)\w+_conv\.(bn|conv)\.", r"head.conv_feat.cls_conv_\3w\1.\2.\4."),
    (r"^(head\..*)\.bn\.", r"\1.norm."),
    (r"^bbox_head\.gfl_cls\.", "head.head_cls"),
    (r"\.depthwise_conv\.conv\.", ".dwconv."),
    (r"\.depthwise_conv\.bn\.", ".bn1."),
    (r"\.pointwise_conv\.conv\.", ".pwconv."),
    (r"\.pointwise_conv\.bn\.", ".bn2."),
    (r"\.running_mean$", "._mean"),
    (r"\.running_var$", "._variance"),
]
PICODET_ES = [
    (r"^backbone\.stage(\d)\.(\d)\.", lambda m: f"backbone.{m[1]}_{int(m[2]) + 1}."),
    (r"^backbone\.(\d_\d)\.(\w+)\.", r"backbone.\1._\2."),
    (r"^backbone\.conv1\.", "backbone._conv1."),
    (r"^(backbone\..*)\.conv\.", r"\1._conv."),
    (r"^(backbone\..*)\.bn\.", r"\1._batch_norm."),
    *PICODET,
]
PICODET_2022 = [
    (r"^bbox_head\.gfl_reg\.", "head.head_reg"),
    (r"^bbox_head\.(cls_align\.\d)\.depthwise_conv\.bn\.", r"head.\1.bn1."),
    (r"^bbox_head\.(cls_align\.\d)\.pointwise_conv\.bn\.", r"head.\1.bn2."),
    (r"^bbox_head\.(cls_align\.)", r"head.\1"),
    (r"^bbox_head\.se\.", "head.conv_feat.se."),
    (r"^(head\.conv_feat\.se\..*)\.bn\.", r"\1.norm."),
    *PICODET,
]
KEYS = {
    "yolox": {
        "backbone.backbone.stem.conv.conv.weight",
        "backbone.backbone.dark2.1.conv3.conv.weight",
        "backbone.backbone.dark5.1.conv1.conv.weight",
        "backbone.backbone.dark5.2.m.0.conv1.bn.bias",
        "backbone.C3_n4.conv2.conv.weight",
        "head.stems.2.conv.weight",
        "head.obj_preds.0.bias",
    },
    "nanodet": {
        "backbone.stage2.0.branch1.0.weight",
        "head.cls_convs.0.1.depthwise.weight",
        "head.cls_convs.2.0.pwnorm.bias",
        "head.gfl_cls.1.weight",
    },
    "picodet": {
        "backbone.blocks6.1.se.conv1.weight",
        "backbone.blocks2.0.dw_conv.bn._mean",
        "neck.conv_t.convs.0.conv.weight",
        "neck.top_down_blocks.0.blocks.0.conv2.dwconv.weight",
        "neck.first_top_conv.bn2._variance",
        "head.conv_feat.cls_conv_dw0.3.norm.weight",
        "head.head_cls3.bias",
    },
    "picodet_m": {
        "backbone._conv1._conv.weight",
        "backbone.3_7._se.conv1.bias",
        "backbone.2_1._conv_dw_mv1._batch_norm._mean",
        "backbone.4_3._conv_linear._conv.weight",
    },
    "picodet_s": {
        "neck.bottom_up_blocks.0.1.dw_conv.conv.weight",
        "head.conv_feat.se.1.fc.bias",
        "head.conv_feat.se.1.conv.norm._mean",
        "head.cls_align.2.dwconv.weight",
        "head.cls_align.2.bn2._variance",
        "head.head_reg0.weight",
    },
}


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("yolox_s", YOLOX),
        ("yolox_nano", YOLOX),
        ("nanodet_m", NANODET),
        ("nanodet_plus_m", NANODET),
        ("picodet_layout", PICODET),
        ("picodet_m_320_coco", PICODET_ES),
        ("picodet_s_320_coco_lcnet", PICODET_2022),
    ],
)
def test_a_light_detector_of_its_authors_loads(name: str, names: list) -> None:
    state = random_model(VARIANTS[name]).state_dict()
    state = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    theirs = {}
    for key, value in state.items():
        for pattern, new in names:
            key = re.sub(pattern, new, key)
        theirs[key] = value
    assert len(theirs) == len(state)
    if names is NANODET:  # the branch that only guides the training
        theirs |= {f"aux_{part}.0.weight": torch.zeros(1) for part in ("fpn", "head")}
    family = "_".join(name.split("_")[:2])
    assert KEYS.get(family, KEYS.get(name.split("_")[0])) <= theirs.keys()
    if names is PICODET_2022:  # Paddle writes the last layers twice, and leftovers.
        theirs |= {"head.p3_feat.scale_reg": torch.ones(1), "head.distribution_project.project": torch.arange(8.0)}
        theirs |= {f"head.head_cls_list.{i}.weight": theirs[f"head.head_cls{i}.weight"] for i in range(4)}
    loaded = load_variant(VARIANTS[name], Checkpoint(theirs, "theirs.pth", None, None)).state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in state.items())
