"""What the goldens do not show of the ResNet: its styles."""

import pytest
import torch

from detforge.models.backbones.resnet import ResNet, Style, atrous


@pytest.mark.parametrize(("style", "strides"), [("pytorch", (1, 2)), ("caffe", (2, 1))])
def test_style_places_the_stride(style: Style, strides: tuple[int, int]) -> None:
    backbone = ResNet(50, width=4, style=style)
    for stage in (backbone.layer2, backbone.layer3, backbone.layer4):
        first, rest = stage[0], stage[1:]
        assert (first.conv1.stride[0], first.conv2.stride[0]) == strides
        assert all(block.conv1.stride == block.conv2.stride == (1, 1) for block in rest)
    with torch.inference_mode():
        levels = backbone(torch.zeros(1, 3, 65, 97))
    assert [tuple(x.shape) for x in levels] == [
        (1, 16, 17, 25),
        (1, 32, 9, 13),
        (1, 64, 5, 7),
        (1, 128, 3, 4),
    ]
    assert backbone.channels == (16, 32, 64, 128)


def test_basic_blocks_have_no_deformable_form() -> None:
    with pytest.raises(ValueError, match="depth 50"):
        ResNet(18, deformable=(None, None, None, "v1"))


def test_basic_blocks_have_no_groups() -> None:
    with pytest.raises(ValueError, match="depth 50"):
        ResNet(34, groups=(32, 4))


def test_frozen_norms_of_maskrcnn_benchmark_add_nothing_to_variances() -> None:
    backbone = ResNet(18, width=4, norm_eps=0.0).eval()
    norm, x = backbone.layer1[0].bn1, torch.randn(1, 4, 3, 3)
    with torch.inference_mode():
        norm.running_var.copy_(torch.tensor([1e-6, 1e-5, 1.0, 4.0]))
        expected = (x - norm.running_mean[:, None, None]) * (norm.weight * norm.running_var.rsqrt())[:, None, None]
        torch.testing.assert_close(norm(x), expected + norm.bias[:, None, None])


def test_atrous_stages_give_what_they_did_and_more_between() -> None:
    image = torch.randn(1, 3, 97, 65, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    plain = ResNet(50, width=4).eval()
    dense = ResNet(50, width=4).eval()
    dense.load_state_dict(plain.state_dict())
    with torch.inference_mode():
        expected, levels = plain(image), atrous(dense, 8)(image)
    assert [tuple(level.shape[2:]) for level in levels] == [(25, 17), (13, 9), (13, 9), (13, 9)]
    for level, reference, step in zip(levels, expected, (1, 1, 2, 4), strict=True):
        torch.testing.assert_close(level[..., ::step, ::step], reference)
