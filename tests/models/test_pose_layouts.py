"""Checkpoints as the authors of SimpleBaseline, HRNet and HigherHRNet save them, and as mmpose 0.x does, written down
from their networks' structure."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

from detforge.deploy.system.errors import InputError
from detforge.models.backbones.resnet import TINY_BOTTLENECKS
from detforge.models.checkpoint import Checkpoint, load_variant
from detforge.models.variant import Variant
from detforge.models.zoo import find, higherhrnet, hrnet, simplebaseline

KEYPOINTS = 17
Shapes = dict[str, tuple[int, ...]]


def norm(name: str, channels: int) -> Shapes:
    return {f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")} | {
        f"{name}.num_batches_tracked": ()
    }


def conv(name: str, inputs: int, outputs: int, kernel: int, bias: bool = False) -> Shapes:
    return {f"{name}.weight": (outputs, inputs, kernel, kernel)} | ({f"{name}.bias": (outputs,)} if bias else {})


def unit(name: str, inputs: int, outputs: int, kernel: int) -> Shapes:
    """A convolution and its norm, in a list."""
    return conv(f"{name}.0", inputs, outputs, kernel) | norm(f"{name}.1", outputs)


def block(name: str, inputs: int, width: int, kernels: tuple[int, ...], outputs: int) -> Shapes:
    shapes: Shapes = {}
    widths = [inputs, *(width for _ in kernels[:-1]), outputs]
    for i, kernel in enumerate(kernels):
        shapes |= conv(f"{name}.conv{i + 1}", widths[i], widths[i + 1], kernel)
        shapes |= norm(f"{name}.bn{i + 1}", widths[i + 1])
    return shapes | (unit(f"{name}.downsample", inputs, outputs, 1) if inputs != outputs else {})


def resnet(width: int) -> Shapes:
    """With a bottleneck in every stage."""
    shapes, inputs = conv("conv1", 3, width, 7) | norm("bn1", width), width
    for stage in range(4):
        shapes |= block(f"layer{stage + 1}.0", inputs, width << stage, (1, 3, 1), 4 * width << stage)
        inputs = 4 * width << stage
    return shapes


def deconvs(inputs: int, widths: tuple[int, ...]) -> Shapes:
    shapes: Shapes = {}
    for i, width in enumerate(widths):
        shapes |= {f"deconv_layers.{3 * i}.weight": (inputs, width, 4, 4)} | norm(f"deconv_layers.{3 * i + 1}", width)
        inputs = width
    return shapes


def high_resolution(c: int, stem: int) -> Shapes:
    """With one module a stage and one block a branch."""
    shapes = conv("conv1", 3, stem, 3) | norm("bn1", stem) | conv("conv2", stem, stem, 3) | norm("bn2", stem)
    shapes |= block("layer1.0", stem, stem, (1, 3, 1), 4 * stem)
    shapes |= unit("transition1.0", 4 * stem, c, 3) | unit("transition1.1.0", 4 * stem, 2 * c, 3)
    shapes |= unit("transition2.2.0", 2 * c, 4 * c, 3) | unit("transition3.3.0", 4 * c, 8 * c, 3)
    for stage in (2, 3, 4):
        name, widths = f"stage{stage}.0", [c << i for i in range(stage)]
        for i, width in enumerate(widths):
            shapes |= block(f"{name}.branches.{i}.0", width, width, (3, 3), width)
        for to in range(stage if stage < 4 else 1):
            for source in range(stage):
                fuse = f"{name}.fuse_layers.{to}.{source}"
                if source > to:
                    shapes |= unit(fuse, widths[source], widths[to], 1)
                for step in range(to - source):
                    last = widths[to] if step == to - source - 1 else widths[source]
                    shapes |= unit(f"{fuse}.{step}", widths[source], last, 3)
    return shapes


def higher_head(c: int) -> Shapes:
    shapes = conv("final_layers.0", c, 2 * KEYPOINTS, 1, True) | conv("final_layers.1", c, KEYPOINTS, 1, True)
    shapes |= {"deconv_layers.0.0.0.weight": (c + 2 * KEYPOINTS, c, 4, 4)} | norm("deconv_layers.0.0.1", c)
    return shapes | block("deconv_layers.0.1.0", c, c, (3, 3), c)


def old(backbone: Shapes, head: Shapes) -> Shapes:
    return {f"backbone.{k}": v for k, v in backbone.items()} | {f"keypoint_head.{k}": v for k, v in head.items()}


RESNET, RESNET_HEAD = resnet(8), deconvs(256, (8, 6, 4)) | conv("final_layer", 4, KEYPOINTS, 1, True)
HRNET, HRNET_HEAD = high_resolution(6, 4), conv("final_layer", 6, KEYPOINTS, 1, True)
_tiny = {"width": 6, "stem": 4, "modules": (1, 1, 1), "blocks": 1}
_resnet = partial(simplebaseline.build, backbone=TINY_BOTTLENECKS, widths=(8, 6, 4))
_hrnet, _higher = partial(hrnet.build, **_tiny), partial(higherhrnet.build, **_tiny)
CASES = {
    "authors of simplebaseline_r50_authors": (_resnet, RESNET | RESNET_HEAD),
    "mmpose 0.x of simplebaseline_r50": (_resnet, old(RESNET, RESNET_HEAD)),
    "authors of hrnet_w32": (_hrnet, HRNET | HRNET_HEAD),
    "mmpose 0.x of hrnet_w32": (_hrnet, old(HRNET, HRNET_HEAD)),
    "authors of higherhrnet_w32": (_higher, HRNET | higher_head(6)),
    "mmpose 0.x of higherhrnet_w32": (_higher, old(HRNET, higher_head(6))),
}


def tiny(name: str) -> tuple[Variant, dict[str, Tensor]]:
    """The variant with few channels, and a checkpoint of it with random values."""
    build, shapes = CASES[name]
    generator = torch.Generator().manual_seed(0)
    state = {key: torch.rand(shape, generator=generator) for key, shape in shapes.items()}
    return replace(find(name.split()[-1]), build=build), state


@pytest.mark.parametrize("name", CASES)
def test_every_key_finds_its_place(name: str) -> None:
    variant, state = tiny(name)
    network = load_variant(variant, Checkpoint(state, "their.pth", None, None)).state_dict()
    expected = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    for key, value in expected.items():
        part = key.removeprefix("backbone.").removeprefix("keypoint_head.")
        ours = "head" if part.startswith(("deconv", "final")) else "backbone"
        torch.testing.assert_close(network[f"{ours}.{part}"], value)
    assert len(expected) == sum(not key.endswith("num_batches_tracked") for key in network)


@pytest.mark.parametrize("name", CASES)
def test_a_key_too_many_is_an_error(name: str) -> None:
    variant, state = tiny(name)
    with pytest.raises(InputError, match=r"'surprise.*' is unexpected"):
        load_variant(variant, Checkpoint(state | {"surprise.weight": torch.zeros(1)}, "their.pth", None, None))


def test_other_keypoints_are_counted() -> None:
    variant, state = tiny("authors of hrnet_w32")
    state |= {"final_layer.weight": torch.zeros(16, 6, 1, 1), "final_layer.bias": torch.zeros(16)}
    network = load_variant(variant, Checkpoint(state, "mpii.pth", None, None))
    assert variant.count_classes(network.get_parameter(variant.classes_key)) == 16


def test_weights_that_were_trained_on_other_colours_are_refused() -> None:
    """SimpleBaseline's authors read BGR: their keys do not fit the variants that read RGB."""
    _, state = tiny("authors of simplebaseline_r50_authors")
    with pytest.raises(InputError, match=r"lacks head\.final_layer\.weight"):
        load_variant(find("simplebaseline_r50"), Checkpoint(state, "their.pth", None, None))
