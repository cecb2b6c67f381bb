"""Checkpoints as the authors of CornerNet, CenterNet and CentripetalNet save them, from their networks' structure."""

from dataclasses import replace
from functools import partial
from itertools import product

import pytest
import torch
from torch import Tensor

from detforge.deploy.system.errors import InputError
from detforge.models.checkpoint import Checkpoint, load_variant
from detforge.models.heads.centripetal import CentripetalHead
from detforge.models.heads.corner import CornerHead
from detforge.models.variant import Variant
from detforge.models.zoo import centernet, centripetalnet, cornernet, extremenet, find

CLASSES = 3
Shapes = dict[str, tuple[int, ...]]


def norm(name: str, channels: int) -> Shapes:
    return {f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")}


def conv(name: str, inputs: int, outputs: int, kernel: int, bias: bool = False) -> Shapes:
    return {f"{name}.weight": (outputs, inputs, kernel, kernel)} | ({f"{name}.bias": (outputs,)} if bias else {})


def deformable(name: str, inputs: int, outputs: int) -> Shapes:
    return conv(name, inputs, outputs, 3, bias=True) | conv(f"{name}.conv_offset_mask", inputs, 27, 3, bias=True)


def block(name: str, inputs: int, outputs: int, shortcut: str | None) -> Shapes:
    shapes = conv(f"{name}.conv1", inputs, outputs, 3) | norm(f"{name}.bn1", outputs)
    shapes |= conv(f"{name}.conv2", outputs, outputs, 3) | norm(f"{name}.bn2", outputs)
    if shortcut:
        shapes |= conv(f"{name}.{shortcut}.0", inputs, outputs, 1) | norm(f"{name}.{shortcut}.1", outputs)
    return shapes


def branches(prefixes: tuple[str, ...], inputs: int, width: int, first: str, last: str) -> Shapes:
    """Heads of two convolutions, with biases and no norm."""
    shapes: Shapes = {}
    for prefix in prefixes:
        kind = prefix.split(".")[0].rpartition("_")[2]
        outputs = {"hm": CLASSES, "heats": CLASSES, "tags": 1}.get(kind, 2)
        shapes |= conv(f"{prefix}.{first}", inputs, width, 3, bias=True)
        shapes |= conv(f"{prefix}.{last}", width, outputs, 1, bias=True)
    return shapes


def resdcn(width: int, up: tuple[int, ...]) -> Shapes:
    shapes = conv("conv1", 3, width, 7) | norm("bn1", width)
    inputs = width
    for stage in range(4):
        outputs = width << stage
        shapes |= block(f"layer{stage + 1}.0", inputs, outputs, "downsample" if stage else None)
        shapes |= block(f"layer{stage + 1}.1", outputs, outputs, None)
        inputs = outputs
    for i, outputs in enumerate(up):
        shapes |= deformable(f"deconv_layers.{6 * i}", inputs, outputs) | norm(f"deconv_layers.{6 * i + 1}", outputs)
        shapes |= conv(f"deconv_layers.{6 * i + 3}", outputs, outputs, 4) | norm(f"deconv_layers.{6 * i + 4}", outputs)
        inputs = outputs
    return shapes | branches(("hm", "wh", "reg"), inputs, 64, "0", "2")


def dla(c: tuple[int, ...], head: int) -> Shapes:
    def pair(name: str, inputs: int, outputs: int, root: int) -> Shapes:
        shapes = block(f"{name}.tree1", inputs, outputs, None) | block(f"{name}.tree2", outputs, outputs, None)
        return shapes | conv(f"{name}.root.conv", root, outputs, 1) | norm(f"{name}.root.bn", outputs)

    def project(name: str, inputs: int, outputs: int) -> Shapes:
        return conv(f"{name}.project.0", inputs, outputs, 1) | norm(f"{name}.project.1", outputs)

    shapes: Shapes = {}
    for name, inputs, outputs, kernel in (("base_layer", 3, c[0], 7), ("level0", c[0], c[0], 3), ("level1", *c[:2], 3)):
        shapes |= conv(f"base.{name}.0", inputs, outputs, kernel) | norm(f"base.{name}.1", outputs)
    shapes |= pair("base.level2", c[1], c[2], 2 * c[2]) | project("base.level2", c[1], c[2])
    for i in (3, 4):
        name, inputs, outputs = f"base.level{i}", c[i - 1], c[i]
        shapes |= pair(f"{name}.tree1", inputs, outputs, 2 * outputs) | project(f"{name}.tree1", inputs, outputs)
        shapes |= pair(f"{name}.tree2", outputs, outputs, 3 * outputs + inputs) | project(name, inputs, outputs)
    shapes |= pair("base.level5", c[4], c[5], 2 * c[5] + c[4]) | project("base.level5", c[4], c[5])
    shapes |= conv("base.fc", c[5], 1000, 1, bias=True)
    steps = [("dla_up.ida_0", c[4], [c[5]], [2]), ("dla_up.ida_1", c[3], [c[4]] * 2, [2] * 2)]
    steps += [("dla_up.ida_2", c[2], [c[3]] * 3, [2] * 3), ("ida_up", c[2], [c[3], c[4]], [2, 4])]
    for name, outputs, widths, factors in steps:
        for i, (inputs, factor) in enumerate(zip(widths, factors, strict=True), 1):
            shapes |= deformable(f"{name}.proj_{i}.conv", inputs, outputs) | norm(f"{name}.proj_{i}.actf.0", outputs)
            shapes |= deformable(f"{name}.node_{i}.conv", outputs, outputs) | norm(f"{name}.node_{i}.actf.0", outputs)
            shapes[f"{name}.up_{i}.weight"] = (outputs, 1, 2 * factor, 2 * factor)
    return shapes | branches(("hm", "wh", "reg"), c[2], head, "0", "2")


def hourglass(c: tuple[int, ...]) -> Shapes:
    """Two stacks with one residual block for every part."""

    def module(name: str, c: tuple[int, ...]) -> Shapes:
        shapes = block(f"{name}.up1.0", c[0], c[0], None) | block(f"{name}.low1.0", c[0], c[1], "skip")
        shapes |= module(f"{name}.low2", c[1:]) if len(c) > 2 else block(f"{name}.low2.0", c[1], c[1], None)
        return shapes | block(f"{name}.low3.0", c[1], c[0], "skip" if c[0] != c[1] else None)

    def convolution(name: str, inputs: int, outputs: int, kernel: int) -> Shapes:
        return conv(f"{name}.conv", inputs, outputs, kernel) | norm(f"{name}.bn", outputs)

    shapes = convolution("pre.0", 3, c[0] // 2, 7) | block("pre.1", c[0] // 2, c[0], "skip")
    for i in range(2):
        shapes |= module(f"kps.{i}", c) | convolution(f"cnvs.{i}", c[0], c[0], 3)
    for name in ("inters_.0", "cnvs_.0"):
        shapes |= conv(f"{name}.0", c[0], c[0], 1) | norm(f"{name}.1", c[0])
    return shapes | block("inters.0", c[0], c[0], None)


def corner_pool(name: str, width: int, pooled: int) -> Shapes:
    shapes: Shapes = {}
    parts = (("p1_conv1", width, pooled), ("p2_conv1", width, pooled), ("conv2", width, width))
    for part, inputs, outputs in parts:
        shapes |= conv(f"{name}.{part}.conv", inputs, outputs, 3) | norm(f"{name}.{part}.bn", outputs)
    shapes |= conv(f"{name}.p_conv1", pooled, width, 3) | norm(f"{name}.p_bn1", width)
    return shapes | conv(f"{name}.conv1", width, width, 1) | norm(f"{name}.bn1", width)


def corner_heads(width: int, pooled: int) -> Shapes:
    shapes: Shapes = {}
    for at in ("tl", "br"):
        for i in range(2):
            shapes |= corner_pool(f"{at}_cnvs.{i}", width, pooled)
            heads = tuple(f"{at}_{what}.{i}" for what in ("heats", "tags", "regrs"))
            shapes |= branches(heads, width, width, "0.conv", "1")
    return shapes


def centripetal_heads(width: int, pooled: int) -> Shapes:
    """Those of the last stack, and as `mid_*` those of the first one; masks serve training alone."""
    shapes: Shapes = {}
    for name in ("tl", "br", "mid_tl", "mid_br"):
        at = f"bbox_head.{name}"
        shapes |= corner_pool(f"{at}_pool", width, pooled) | conv(f"{at}_offset", 2, 18, 1)
        shapes |= conv(f"{at}_fadp", width, width, 3)
        for part, outputs in (("heat", CLASSES), ("off", 2), ("off_c", 2), ("off_c_2", 2)):
            shapes |= conv(f"{at}_{part}.0.conv", width, width, 3, bias=True)
            shapes |= conv(f"{at}_{part}.1", width, outputs, 1, bias=True)
    for before in ("bbox_head.", "bbox_head.mid_"):
        for i in range(4):
            shapes |= conv(f"{before}convs.{i}.conv", width, width, 3, bias=True)
        shapes |= conv(f"{before}conv_logits", width, CLASSES + 1, 1, bias=True)
    return shapes


EXTREMES = tuple(
    f"{at}_{what}.{i}" for at, what in [*product("tlbr", ("heats", "regrs")), ("ct", "heats")] for i in range(2)
)
TINY = (8, 8, 12)
_hourglass = {"channels": TINY, "blocks": (1, 1, 1)}
CASES = {
    "centernet_resdcn18": (
        partial(centernet.build, depth=18, width=8, channels=(16, 8, 8), deformable=True, bias=True),
        resdcn(8, (16, 8, 8)),
        {
            "deconv_layers.6.conv_offset_mask.bias": "neck.deconv_layers.2.conv.conv_offset.bias",
            "deconv_layers.9.weight": "neck.deconv_layers.3.conv.weight",
            "deconv_layers.16.running_var": "neck.deconv_layers.5.bn.running_var",
            "wh.2.bias": "bbox_head.wh_head.2.bias",
        },
    ),
    "centernet_dla34": (
        partial(centernet.build_dla, channels=(4, 6, 8, 10, 12, 16), head=8),
        dla((4, 6, 8, 10, 12, 16), 8),
        {
            "base.level3.tree1.project.0.weight": "backbone.level3.tree1.project.0.weight",
            "dla_up.ida_1.node_2.actf.0.bias": "neck.dla_up.ida_1.node_2.bn.bias",
            "ida_up.proj_2.conv.conv_offset_mask.weight": "neck.ida_up.proj_2.conv.conv_offset.weight",
            "reg.0.weight": "bbox_head.offset_head.0.weight",
        },
    ),
    "centernet_hg104": (
        partial(centernet.build_hourglass, **_hourglass),
        hourglass(TINY)
        | branches(tuple(f"{name}.{i}" for name in ("hm", "wh", "reg") for i in range(2)), 8, 8, "0.conv", "1"),
        {
            "kps.1.low2.low1.0.skip.0.weight": "backbone.hourglass_modules.1.low2.low1.0.downsample.0.weight",
            "inters_.0.1.bias": "backbone.conv1x1s.0.bn.bias",
            "hm.1.0.conv.weight": "bbox_head.heatmap_head.0.weight",
            "reg.1.1.bias": "bbox_head.offset_head.2.bias",
        },
    ),
    "cornernet_hg104_authors": (
        partial(cornernet.build, head=partial(CornerHead, pooled=4), **_hourglass),
        hourglass(TINY) | corner_heads(8, 4),
        {
            "pre.1.skip.1.weight": "backbone.stem.1.0.downsample.1.weight",
            "cnvs_.0.0.weight": "backbone.remap_convs.0.conv.weight",
            "tl_cnvs.1.p1_conv1.conv.weight": "bbox_head.tl_pool.direction1_conv.conv.weight",
            "br_cnvs.1.p2_conv1.bn.bias": "bbox_head.br_pool.direction2_conv.bn.bias",
            "br_cnvs.1.p_bn1.bias": "bbox_head.br_pool.aftpool_conv.bn.bias",
            "tl_cnvs.1.conv1.weight": "bbox_head.tl_pool.conv1.conv.weight",
            "tl_cnvs.1.conv2.conv.weight": "bbox_head.tl_pool.conv2.conv.weight",
            "br_tags.1.0.conv.bias": "bbox_head.br_emb.0.conv.bias",
            "tl_regrs.1.1.weight": "bbox_head.tl_off.1.conv.weight",
        },
    ),
    "centripetalnet_hg104_authors": (
        partial(centripetalnet.build, head=partial(CentripetalHead, pooled=4), **_hourglass),
        {f"backbone.{key.replace('kps.', 'hg_modules.')}": shape for key, shape in hourglass(TINY).items()}
        | centripetal_heads(8, 4),
        {
            "backbone.pre.0.conv.weight": "backbone.stem.0.conv.weight",
            "backbone.hg_modules.1.low2.low1.0.skip.0.weight": (
                "backbone.hourglass_modules.1.low2.low1.0.downsample.0.weight"
            ),
            "backbone.inters.0.bn1.bias": "backbone.inters.0.bn1.bias",
            "backbone.inters_.0.1.bias": "backbone.conv1x1s.0.bn.bias",
            "bbox_head.tl_pool.p1_conv1.conv.weight": "bbox_head.tl_pool.direction1_conv.conv.weight",
            "bbox_head.br_pool.bn1.bias": "bbox_head.br_pool.conv1.bn.bias",
            "bbox_head.tl_offset.weight": "bbox_head.tl_dcn_offset.conv.weight",
            "bbox_head.br_fadp.weight": "bbox_head.br_feat_adaption.weight",
            "bbox_head.tl_heat.1.weight": "bbox_head.tl_heat.1.conv.weight",
            "bbox_head.br_off.1.bias": "bbox_head.br_off.1.conv.bias",
            "bbox_head.tl_off_c.1.bias": "bbox_head.tl_guiding_shift.1.conv.bias",
            "bbox_head.br_off_c_2.0.conv.bias": "bbox_head.br_centripetal_shift.0.conv.bias",
        },
    ),
    "extremenet_hg104": (
        partial(extremenet.build, **_hourglass),
        hourglass(TINY) | branches(EXTREMES, 8, 8, "0.conv", "1"),
        {
            "kps.1.up1.0.conv1.weight": "backbone.hourglass_modules.1.up1.0.conv1.weight",
            "t_heats.1.0.conv.weight": "bbox_head.t_heats.0.conv.weight",
            "ct_heats.1.1.bias": "bbox_head.ct_heats.1.conv.bias",
            "r_regrs.1.1.weight": "bbox_head.r_regrs.1.conv.weight",
        },
    ),
}


def tiny(name: str) -> tuple[Variant, dict[str, Tensor]]:
    """The variant with few channels, and a checkpoint of it with random values."""
    build, shapes, _ = CASES[name]
    generator = torch.Generator().manual_seed(0)
    return replace(find(name), build=build), {k: torch.rand(s, generator=generator) for k, s in shapes.items()}


@pytest.mark.parametrize("name", CASES)
def test_every_key_finds_its_place(name: str) -> None:
    variant, state = tiny(name)
    network = load_variant(variant, Checkpoint(state, "authors.pth", None, None)).state_dict()
    for theirs, ours in CASES[name][2].items():
        torch.testing.assert_close(network[ours], state[theirs])
    # No value is left over but those that only training needs, and none is used twice.
    loaded = torch.cat([v.flatten() for k, v in network.items() if not k.endswith("num_batches_tracked")])
    used = [key for key in state if not any(part in key for part in variant.unused)]
    expected = torch.cat([state[key].flatten() for key in used])
    torch.testing.assert_close(loaded.sort().values, expected.sort().values)
    assert len(used) < len(state) or name == "centernet_resdcn18"


@pytest.mark.parametrize("name", CASES)
def test_a_key_too_many_is_an_error(name: str) -> None:
    variant, state = tiny(name)
    with pytest.raises(InputError, match=r"'surprise.*' is unexpected"):
        load_variant(variant, Checkpoint(state | {"surprise.weight": torch.zeros(1)}, "authors.pth", None, None))


def test_old_checkpoints_of_openmmlab_hold_the_first_stack() -> None:
    """Its heads are left out; the golden holds all other keys."""
    variant = find("cornernet_hg104")
    parts = {part.split(".")[1] for part in variant.unused}
    assert parts == {f"{at}_{what}" for at in ("tl", "br") for what in ("pool", "heat", "emb", "off")}
