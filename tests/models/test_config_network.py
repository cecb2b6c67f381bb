"""Networks from configurations: the same as the zoo's where that has them, and refusals by key."""

from functools import partial

import pytest
import torch
from small_configs import DECODER, HEADS, SIMPLE, STRIDES, TRUNK, anchors, dense, pose
from torch import nn

from detforge.models.anchors import Anchors
from detforge.models.backbones.csp import CSPNeXt
from detforge.models.backbones.hrnet import HRNet
from detforge.models.backbones.resnet import ResNet, averaged_shortcuts
from detforge.models.config.network import Network, read_network
from detforge.models.config.section import Section
from detforge.models.config.text import ConfigError
from detforge.models.heads.heatmap import HeatmapHead, OffsetHead
from detforge.models.heads.rtmcc import RTMCCHead
from detforge.models.heads.simcc import SimCCHead
from detforge.models.pose import PoseNetwork
from detforge.models.zoo import atss, autoassign, fcos, gfl, retinanet, vfnet

R18 = partial(ResNet, 18, width=8)
WIDE = {"feat_channels": 32, "norm_cfg": {"type": "GN", "num_groups": 8}}
SIX = Anchors(ratios=(0.5, 1.0, 2.0), scales=(8.0, 8.0 * 2**0.5))


def read(model) -> Network:
    section = Section(model, "model")
    network = read_network(section)
    section.finish()
    return network


def same(ours: nn.Module, reference: nn.Module, size: tuple[int, int] = (96, 64)) -> None:
    """Both have the same weights by name and make the same of an image."""
    torch.manual_seed(0)
    state = {key: torch.rand_like(value.float()) * 0.1 + 0.05 for key, value in reference.state_dict().items()}
    for network in (ours, reference):
        network.load_state_dict(state, strict=True)
        network.eval()
    image = torch.randn(1, 3, *size)
    with torch.inference_mode():
        outputs, expected = ours(image), reference(image)
    assert outputs.keys() == expected.keys()
    for name, value in expected.items():
        assert value.isfinite().all()
        torch.testing.assert_close(outputs[name], value, rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    ("head", "changes", "reference"),
    [
        ("GFLHead", {}, partial(gfl.build, channels=32, stacked=1)),
        ("ATSSHead", {"bbox_coder": "atss"}, partial(atss.build, channels=32, stacked=1)),
        ("FCOSHead", {"neck": "relu"}, partial(fcos.build, channels=32, stacked=1)),
        (
            "FCOSHead",
            {"neck": "relu", "norm_on_bbox": True, "centerness_on_reg": True, "conv_bias": True},
            partial(fcos.build, channels=32, stacked=1, improved=True, bias=True),
        ),
        ("AutoAssignHead", {"neck": "relu"}, partial(autoassign.build, channels=32, stacked=1, extra="output")),
        ("VFNetHead", {"neck": "relu"}, partial(vfnet.build, channels=32, stacked=1)),
        ("RetinaHead", {"neck": "input"}, partial(retinanet.build, channels=32, stacked=1, anchors=SIX)),
    ],
)
def test_dense_networks_are_the_zoos(head, changes, reference) -> None:
    necks = {"relu": {"relu_before_extra_convs": True}, "input": {"add_extra_convs": "on_input"}}
    coder = {"type": "DeltaXYWHBBoxCoder", "target_stds": (0.1, 0.1, 0.2, 0.2)}
    own = {key: value for key, value in changes.items() if key not in ("neck", "bbox_coder")}
    own |= {"bbox_coder": coder} if "bbox_coder" in changes else {}
    own |= {"norm_cfg": None} if head == "RetinaHead" else {}
    network = read(dense(head, neck=necks.get(changes.get("neck"), {}), **(WIDE | own)))
    assert network.classes == 3
    assert network.form.strides == STRIDES
    same(network.build(3), reference(3, backbone=R18))


def test_a_retina_head_has_the_anchors_of_its_configuration() -> None:
    network = read(dense("RetinaHead"))
    assert network.form.anchors == 6
    head = network.build(3).bbox_head
    assert head.anchors == SIX
    # 8 strides of 8 px at ratio 0.5 (height over width): 64 * sqrt(2) wide and 64 / sqrt(2) high.
    assert head.anchors.first_cell(8)[0] == pytest.approx((0, 0, 90.50967, 45.25483))
    plain = read(
        dense("RetinaHead", anchor_generator=anchors(scales=(2,), octave_base_scale=None, scales_per_octave=None))
    )
    assert plain.build(3).bbox_head.anchors.scales == (2,)


@pytest.mark.parametrize("style", ["pytorch", "caffe"])
def test_backbones_of_other_kinds(style) -> None:
    x50 = {"type": "ResNeXt", "depth": 50, "groups": 4, "base_width": 4, "style": style, "dcn": {"type": "DCNv2"}}
    x50 |= {"stage_with_dcn": (False, True, True, False)}
    network = read(dense("GFLHead", backbone=x50, neck={"in_channels": (32, 64, 128, 256)}, **WIDE))
    backbone = partial(ResNet, 50, width=8, groups=(4, 4), style=style, deformable=(None, "v2", "v2", None))
    same(network.build(3), gfl.build(3, backbone=backbone, channels=32, stacked=1))


def test_resnet_v1d_is_written_out() -> None:
    """The first block of a stage: the shortcut averages, then a 1x1 convolution of stride 1."""
    network = read(dense("GFLHead", backbone={"type": "ResNetV1d"})).build(3).eval()
    trunk = network.backbone
    assert [type(layer).__name__ for layer in trunk.stem[:3]] == ["Conv2d", "BatchNorm2d", "ReLU"]
    assert [tuple(trunk.stem[i].weight.shape[:2]) for i in (0, 3, 6)] == [(4, 3), (4, 4), (8, 4)]
    assert set(dict(trunk.layer2[0].downsample.named_parameters())) == {"1.weight", "2.weight", "2.bias"}
    x = torch.randn(1, 8, 5, 7)
    with torch.inference_mode():
        found = trunk.layer2[0].downsample(x)
        # Each 2x2 cell's mean, of what of it lies within the image.
        cells = [[x[0, :, i : i + 2, j : j + 2].mean((1, 2)) for j in range(0, 7, 2)] for i in range(0, 5, 2)]
        means = torch.stack([torch.stack(row, -1) for row in cells], 1)
        expected = torch.einsum("oc,chw->ohw", trunk.layer2[0].downsample[1].weight[..., 0, 0], means)
    norm = trunk.layer2[0].downsample[2]
    torch.testing.assert_close(found[0], expected / (1 + norm.eps) ** 0.5)
    assert averaged_shortcuts(R18()).layer1[0].downsample is not None


def kinds(layers) -> list[str]:
    return [type(layer).__name__ for layer in layers]


def test_resnet_v1d_of_mmpose_has_other_names() -> None:
    """Three blocks of convolution and norm begin, and shortcuts that halve nothing are not averaged."""
    network = read(pose(SIMPLE, TRUNK | {"type": "ResNetV1d", "depth": 18}))
    model = network.build(5)
    assert [type(layer).__name__ for layer in model.backbone.layer2[0].downsample] == [
        "AvgPool2d",
        "Conv2d",
        "BatchNorm2d",
    ]
    assert [network.mapping[f"^backbone.stem.{i}.conv."] for i in range(3)] == [
        f"backbone.stem.{i}." for i in (0, 3, 6)
    ]
    assert [network.mapping[f"^backbone.stem.{i}.bn."] for i in range(3)] == [f"backbone.stem.{i}." for i in (1, 4, 7)]
    deep = {"type": "ResNetV1d", "depth": 50, "base_channels": 8}
    bottlenecks = read(pose(SIMPLE | {"in_channels": 256}, deep)).build(5).backbone
    assert kinds(bottlenecks.layer1[0].downsample) == ["Conv2d", "BatchNorm2d"]
    in_mmdet = read(dense("GFLHead", backbone=deep, neck={"in_channels": (32, 64, 128, 256)})).build(3).backbone
    assert kinds(in_mmdet.layer1[0].downsample) == ["AvgPool2d", "Conv2d", "BatchNorm2d"]


def test_groups_are_what_each_framework_takes_for_usual() -> None:
    """mmpose's ResNeXt has 32 groups where nothing is said, mmdet's has one."""
    deep = {"type": "ResNeXt", "depth": 50, "base_channels": 8}
    posed = read(pose(SIMPLE | {"in_channels": 256}, deep)).build(5).backbone
    assert posed.layer1[0].conv2.groups == 32
    in_mmdet = read(dense("GFLHead", backbone=deep, neck={"in_channels": (32, 64, 128, 256)})).build(3).backbone
    assert in_mmdet.layer1[0].conv2.groups == 1


def test_norms_of_other_kinds_and_widths() -> None:
    norm = {"type": "GN", "num_groups": 4, "eps": 1e-3}
    network = read(dense("FCOSHead", backbone={"norm_cfg": norm}, norm_cfg=norm, neck={"norm_cfg": norm}))
    model = network.build(3)
    found = {
        type(module)
        for module in model.modules()
        if "Norm" in type(module).__name__ and "Conv" not in type(module).__name__
    }
    assert found == {nn.GroupNorm}
    norms = [module for module in model.modules() if isinstance(module, nn.GroupNorm)]
    assert {(module.num_groups, module.eps) for module in norms} == {(4, 1e-3)}
    assert network.mapping[".gn1."] == ".bn1."
    assert "bbox_head.cls_convs.0.gn.weight" in model.state_dict()
    synchronised = read(dense("FCOSHead", norm_cfg={"type": "torch.nn.SyncBatchNorm", "momentum": 0.1})).build(3)
    assert "bbox_head.cls_convs.0.bn.running_var" in synchronised.state_dict()
    bare = read(dense("GFLHead", norm_cfg=None)).build(3)
    assert "bbox_head.cls_convs.0.conv.bias" in bare.state_dict()


def test_a_pyramid_of_other_levels() -> None:
    """From P2 on, six levels, the last two of which are every second pixel of the one before."""
    strides = (4, 8, 16, 32, 64, 128)
    neck = {"start_level": 0, "num_outs": 6, "add_extra_convs": False}
    network = read(dense("GFLHead", neck=neck, anchor_generator=anchors(strides=strides)))
    assert network.form.strides == strides
    model = network.build(3)
    with torch.inference_mode():
        levels = model.neck(model.backbone(torch.randn(1, 3, 96, 160)))
    assert [tuple(level.shape[2:]) for level in levels] == [(24, 40), (12, 20), (6, 10), (3, 5), (2, 3), (1, 2)]
    torch.testing.assert_close(levels[5], levels[3][..., ::4, ::4])


BINS = {"type": "SimCCLabel", "input_size": (64, 96), "sigma": 6.0, "simcc_split_ratio": 2.0}
UNIT = {"hidden_dims": 32, "s": 16, "expansion_factor": 2, "act_fn": "SiLU", "use_rel_bias": False, "pos_enc": False}
CROP = {"input_size": (64, 96), "in_featuremap_size": (2, 3)}


def test_top_down_networks_are_the_zoos() -> None:
    network = read(pose(SIMPLE, TRUNK))
    assert (network.size, network.form.method) == ((96, 64), "quarter")
    same(network.build(5), PoseNetwork(R18(), HeatmapHead(5, 64, (16, 16, 16))))
    offsets = {"type": "UDPHeatmap", "heatmap_type": "combined", "input_size": (64, 96), "heatmap_size": (16, 24)}
    network = read(pose(SIMPLE | {"decoder": offsets, "out_channels": 15}, TRUNK))
    assert (network.classes, network.form.radius) == (5, 0.0546875 * 24)
    same(network.build(5), PoseNetwork(R18(), OffsetHead(5, 64, (16, 16, 16))))
    simcc = {"type": "SimCCHead", "in_channels": 64, "out_channels": 5, "deconv_out_channels": None, "decoder": BINS}
    same(read(pose(simcc | CROP, TRUNK)).build(5), PoseNetwork(R18(), SimCCHead(5, 64, (96, 64))))


def test_rtmpose_is_the_zoos() -> None:
    trunk = {"type": "CSPNeXt", "deepen_factor": 0.1, "widen_factor": 0.125, "out_indices": (4,)}
    head = {"type": "RTMCCHead", "in_channels": 128, "out_channels": 5, "decoder": BINS, "gau_cfg": UNIT}
    network = read(pose(head | CROP | {"final_layer_kernel_size": 7}, trunk | {"norm_cfg": {"type": "SyncBN"}}))
    reference = RTMCCHead(5, 128, (96, 64), hidden=32, inner=16)
    same(network.build(5), PoseNetwork(CSPNeXt(deep=0.1, wide=0.125, levels=(3,)), reference))
    assert {m.eps for m in network.build(5).modules() if isinstance(m, nn.BatchNorm2d)} == {1e-5}
    eps = {m.eps for m in read(pose(head | CROP, trunk)).build(5).modules() if isinstance(m, nn.BatchNorm2d)}
    assert eps == {1e-3}  # CSPNeXt's own, where nothing is said


def test_hrnet_is_the_zoos() -> None:
    def stage(modules, branches, block="BASIC"):
        return {
            "num_modules": modules,
            "num_branches": branches,
            "block": block,
            "num_blocks": (1,) * branches,
            "num_channels": tuple(8 << i for i in range(branches)) if block == "BASIC" else (64,),
        }

    extra = {"stage1": stage(1, 1, "BOTTLENECK"), "stage2": stage(1, 2), "stage3": stage(2, 3), "stage4": stage(1, 4)}
    head = SIMPLE | {"in_channels": 8, "deconv_out_channels": None, "deconv_kernel_sizes": None}
    network = read(pose(head, {"type": "HRNet", "in_channels": 3, "extra": extra}))
    reference = PoseNetwork(HRNet(8, modules=(1, 2, 1), blocks=1), HeatmapHead(5, 8, ()))
    same(network.build(5), reference)


@pytest.mark.parametrize(
    ("codec", "form"),
    [
        (DECODER | {"unbiased": True, "blur_kernel_size": 17}, {"kind": "heatmap", "method": "dark", "blur": 17}),
        (DECODER | {"type": "UDPHeatmap"}, {"kind": "heatmap", "method": "udp", "blur": 11}),
        (
            {"type": "MegviiHeatmap", "input_size": (64, 96), "heatmap_size": (16, 24), "kernel_size": 5},
            {"method": "megvii", "blur": 5, "scale": 255.0},
        ),
    ],
)
def test_codecs(codec, form) -> None:
    found = read(pose(SIMPLE | {"decoder": codec}, TRUNK)).form
    assert {key: getattr(found, key) for key in form} == form


def test_bins_are_smoothed_as_their_sigma_says() -> None:
    simcc = {"type": "SimCCHead", "in_channels": 64, "out_channels": 5, "deconv_out_channels": None}
    codec = BINS | {"use_dark": True}
    assert read(pose(simcc | CROP | {"decoder": codec}, TRUNK)).form.dark == (37, 37)
    codec |= {"sigma": (4.9, 5.66)}
    assert read(pose(simcc | CROP | {"decoder": codec}, TRUNK)).form.dark == (29, 35)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (dense("GFLHead") | {"type": "PointRend"}, "model.type is 'PointRend'; supported networks: SingleStage"),
        (dense("GFLHead", backbone={"type": "Mine"}), "model.backbone.type is 'Mine'; supported backbones: ResNet"),
        (dense("GFLHead", backbone={"type": "mmpretrain.ResNet"}), "type is 'mmpretrain.ResNet'; supported"),
        (dense("GFLHead", neck={"type": "BiFPN"}), "model.neck.type is 'BiFPN'; supported necks: FPN"),
        (dense("GFLHead", type="MyHead"), "model.bbox_head.type is 'MyHead'; supported dense heads: GFLHead"),
        (
            dense("GFLHead") | {"neck": (dense("GFLHead")["neck"], {"type": "DyHead"})},
            "model.neck[1].type is 'DyHead'; supported necks behind another: BFP",
        ),
        (dense("GFLHead") | {"neck": ()}, "model.neck is (); supported: a dict with its type"),
        (dense("GFLHead") | {"mask_head": {"a": 1}}, "model.mask_head is {'a': 1}, which is not supported"),
        (dense("GFLHead", backbone={"dilations": (1, 1, 1, 2)}), "model.backbone.dilations is (1, 1, 1, 2)"),
        (dense("GFLHead", backbone={"strides": (1, 2, 2, 1)}), "model.backbone.strides is (1, 2, 2, 1)"),
        (dense("GFLHead", backbone={"plugins": ({"cfg": 1},)}), "model.backbone.plugins is"),
        (dense("GFLHead", backbone={"style": "tf"}), "model.backbone.style is 'tf'; supported: 'pytorch' or 'caffe'"),
        (dense("GFLHead", backbone={"dcn": {"type": "DCN"}}), "model.backbone.dcn is {'type': 'DCN'}; supported: None"),
        (dense("GFLHead", backbone={"norm_cfg": {"type": "IN"}}), "model.backbone.norm_cfg.type is 'IN'"),
        (dense("GFLHead", backbone={"norm_cfg": None}), "model.backbone.norm_cfg is None"),
        (dense("GFLHead", backbone={"mystery": 7}), "model.backbone.mystery is 7, which is not supported"),
        (dense("GFLHead", neck={"in_channels": (8, 8, 8, 8)}), "model.neck.in_channels is (8, 8, 8, 8)"),
        (dense("GFLHead", neck={"upsample_cfg": {"mode": "bicubic"}}), "model.neck.upsample_cfg.mode is 'bicubic'"),
        (dense("GFLHead", neck={"act_cfg": {"type": "ReLU"}}), "model.neck.act_cfg is"),
        (dense("GFLHead", neck={"num_outs": 2}), "model.neck.num_outs is 2"),
        (dense("GFLHead", neck={"add_extra_convs": "on_top"}), "model.neck.add_extra_convs is 'on_top'"),
        (dense("GFLHead", in_channels=64), "model.bbox_head.in_channels is 64; supported: 32"),
        (dense("GFLHead", anchor_generator=anchors(strides=(4, 8, 16, 32, 64))), "anchor_generator.strides is"),
        (dense("GFLHead", anchor_generator=anchors(center_offset=0.5)), "model.bbox_head.anchor_generator is"),
        (dense("GFLHead", anchor_generator=anchors(ratios=(1.0, 2.0))), "model.bbox_head.anchor_generator is"),
        (dense("GFLHead", loss_cls={"type": "CrossEntropyLoss"}), "model.bbox_head.loss_cls.use_sigmoid is None"),
        (dense("GFLHead", norm_cfg={"type": "GN", "num_groups": 32}), "model makes no network (num_channels (16)"),
        (dense("GFLHead", bbox_coder={"type": "TBLRBBoxCoder"}), "model.bbox_head.bbox_coder.type is 'TBLRBBoxCoder'"),
        (dense("RetinaHead", anchor_generator=anchors(scale_major=0)), "anchor_generator.scale_major is 0"),
        (dense("RetinaHead", anchor_generator=anchors(base_sizes=(8,) * 5)), "anchor_generator.base_sizes"),
        (
            dense("RetinaHead", bbox_coder={"type": "DeltaXYWHBBoxCoder", "target_means": (0.5, 0, 0, 0)}),
            "model.bbox_head.bbox_coder.target_means",
        ),
        (dense("RetinaHead", conv_cfg={"type": "DCNv2"}), "model.bbox_head.conv_cfg is {'type': 'DCNv2'}"),
        (dense("VFNetHead", bbox_norm_type="stride"), "model.bbox_head.bbox_norm_type is 'stride'"),
        (dense("VFNetHead", use_atss=False), "model.bbox_head.use_atss is False"),
        (dense("VFNetHead", regress_ranges=((-1, 32),) * 5), "model.bbox_head.regress_ranges is"),
        (dense("FCOSHead", strides=(4, 8, 16, 32, 64)), "model.bbox_head.strides is (4, 8, 16, 32, 64)"),
        (pose(SIMPLE | {"decoder": DECODER | {"type": "SPR"}}, TRUNK), "model.head.decoder.type is 'SPR'"),
        (pose(SIMPLE | {"decoder": (DECODER, DECODER)}, TRUNK), "model.head.decoder is"),
        (pose(SIMPLE | {"decoder": DECODER | {"heatmap_size": (32, 48)}}, TRUNK), "model.head.decoder is"),
        (
            pose(SIMPLE | {"conv_out_channels": (64,), "conv_kernel_sizes": (2,)}, TRUNK),
            "model.head.conv_kernel_sizes is (2,); supported: 1 of 1, 3, 5, 7",
        ),
        (pose(SIMPLE | {"deconv_kernel_sizes": (4, 4)}, TRUNK), "model.head.deconv_kernel_sizes is (4, 4)"),
        (pose(SIMPLE | {"final_layer": {"kernel_size": 3}}, TRUNK), "model.head.final_layer.padding is 0"),
        (pose(SIMPLE | {"final_layer": None}, TRUNK), "model.head.final_layer is None"),
        (pose(SIMPLE | {"type": "MyHead"}, TRUNK), "model.head.type is 'MyHead'; supported top-down heads"),
        (pose(SIMPLE, {"type": "ResNet", "depth": 18, "base_channels": 16}), "head.in_channels is 64; supported: 128"),
        (
            pose(SIMPLE, TRUNK) | {"neck": {"type": "FeatureMapProcessor", "select_index": (4,)}},
            "model.neck.select_index is (4,); supported: indices below 4",
        ),
        (pose(SIMPLE, TRUNK) | {"neck": {"type": "FeatureMapProcessor", "scale_factor": 3}}, "neck.scale_factor is 3"),
    ],
)  # fmt: skip
def test_what_is_not_supported_is_named(model, message) -> None:
    with pytest.raises(ConfigError) as refused:
        read(model)
    assert message in str(refused.value)


@pytest.mark.parametrize("head", sorted(HEADS))
def test_keys_that_only_train_change_nothing(head) -> None:
    losses = {"loss_cls": {"type": "FocalLoss", "use_sigmoid": True, "gamma": 2.0}, "loss_bbox": {"type": "IoULoss"}}
    model = dense(head, backbone={"frozen_stages": 1, "norm_eval": True, "init_cfg": {"type": "Pretrained"}}, **losses)
    model |= {"train_cfg": {"assigner": {"type": "ATSSAssigner"}}, "init_cfg": None, "pretrained": "torchvision://x"}
    network, plain = read(model), read(dense(head))
    assert network.build(3).state_dict().keys() == plain.build(3).state_dict().keys()
