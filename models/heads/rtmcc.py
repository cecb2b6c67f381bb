"""RTMPose's head (Jiang et al., "RTMPose: Real-Time Multi-Person Pose Estimation based on MMPose", arXiv 2303.07399,
section 3.3)."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from ..blocks import exact_linear
from ..config.codecs import check_bins, read_codec
from ..config.parts import Head, Trunk
from ..config.section import Section


class ScaleNorm(nn.Module):
    """Vectors of c to the length g * sqrt(c) (Nguyen and Salazar, arXiv 1910.05895)."""

    def __init__(self, least: float = 1e-5) -> None:
        super().__init__()
        self.least = least
        self.g = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        root_mean_square = x.square().mean(-1, keepdim=True).sqrt()
        return x / root_mean_square.clamp(min=self.least) * self.g.float()


class Scaling(nn.Module):
    """One learnable factor for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale.float()


class GatedAttention(nn.Module):
    """The gated attention unit (Hua et al., "Transformer Quality in Linear Time", arXiv 2202.10447, section 2).

    Shapes: (n, k, channels) to the same. With u, v and z = SiLU of a linear layer of the normed x, and q and k two
    affine forms of z, out = s * x + W (u * (relu(q k^T / sqrt(inner))^2 v)).
    """

    def __init__(self, channels: int, *, inner: int = 128) -> None:
        super().__init__()
        self.wide, self.inner = 2 * channels, inner
        self.ln = ScaleNorm()
        self.uv = nn.Linear(channels, 2 * self.wide + inner, bias=False)
        self.gamma = nn.Parameter(torch.rand(2, inner))
        self.beta = nn.Parameter(torch.rand(2, inner))
        self.o = nn.Linear(self.wide, channels, bias=False)
        self.res_scale = Scaling(channels)

    def forward(self, x: Tensor) -> Tensor:
        hidden = nn.functional.silu(exact_linear(self.ln(x), self.uv))
        u, v, z = hidden.split((self.wide, self.wide, self.inner), -1)
        query, key = (z * gamma + beta for gamma, beta in zip(self.gamma.float(), self.beta.float(), strict=True))
        weights = torch.relu(query @ key.transpose(1, 2) / self.inner**0.5).square()
        return self.res_scale(x) + exact_linear(u * (weights @ v), self.o)


class RTMCCHead(nn.Module):
    """The last level to each keypoint's `x` (n, keypoints, w * split) and `y` (n, keypoints, h * split), logits.

    `size` is the input's (h, w). `forward` gives one map per keypoint, by a convolution of `kernel` cells. The layers
    after it run in fp32, since their squares exceed the range of half precision. They are 1 % of the work.
    """

    def __init__(
        self,
        keypoints: int,
        in_channels: int,
        size: tuple[int, int],
        *,
        split: float = 2.0,
        hidden: int = 256,
        kernel: int = 7,
        inner: int = 128,
    ) -> None:
        super().__init__()
        height, width = size
        cells = (height // 32) * (width // 32)
        self.final_layer = nn.Conv2d(in_channels, keypoints, kernel, padding=kernel // 2)
        self.mlp = nn.Sequential(ScaleNorm(), nn.Linear(cells, hidden, bias=False))
        self.gau = GatedAttention(hidden, inner=inner)
        self.cls_x = nn.Linear(hidden, int(width * split), bias=False)
        self.cls_y = nn.Linear(hidden, int(height * split), bias=False)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        return self.final_layer(levels[-1])

    def decode(self, maps: Tensor) -> dict[str, Tensor]:
        norm, linear = self.mlp
        tokens = self.gau(exact_linear(norm(maps.flatten(2).float()), linear))
        return {"x": exact_linear(tokens, self.cls_x), "y": exact_linear(tokens, self.cls_y)}


def from_config(section: Section, trunk: Trunk) -> Head:
    """OpenMMLab's RTMCCHead."""
    codec = read_codec(section.section("decoder") or section.refuse("decoder", "a codec"))
    check_bins(section, trunk, codec)
    section.training("loss")
    unit = section.section("gau_cfg") or section.refuse("gau_cfg", "a dict")
    unit.fixed(expansion_factor=2, use_rel_bias=False, pos_enc=False)
    unit.choice("act_fn", {"SiLU": None})
    unit.training("dropout_rate", "drop_path")
    sizes = {"hidden": unit.integer("hidden_dims", 256), "inner": unit.integer("s", 128)}
    build = partial(
        RTMCCHead,
        in_channels=trunk.channels[-1],
        size=codec.size,
        split=codec.form.split,
        kernel=section.choice("final_layer_kernel_size", {1: 1, 3: 3, 5: 5, 7: 7}, 1),
        **sizes,
    )
    return Head(build, section.integer("out_channels"), "head.final_layer.weight", codec.form, size=codec.size)
