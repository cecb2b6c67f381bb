"""Swin Transformer (Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows", arXiv
2103.14030), named as mmdet names it."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..config.parts import Trunk
from ..config.section import Section
from ..config.trunks import check_activation, read_stages

_APART = -100.0  # what is added to the logits of places that only a shift brought into one window


class WindowMSA(nn.Module):
    """Attention within windows, with a learned bias for every distance (section 3.2).

    Shapes, with p = side^2: x (windows, p, width) and `apart` (windows or 1, p, p), which is added to the logits, to
    (windows, p, width).
    """

    def __init__(self, width: int, heads: int, side: int) -> None:
        super().__init__()
        self.heads, self.places = heads, side**2
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * side - 1) ** 2, heads))
        self.register_buffer("relative_position_index", _distances(side))
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor, apart: Tensor) -> Tensor:
        parts = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind(0)
        bias = self.relative_position_bias_table[self.relative_position_index.flatten()]
        bias = bias.unflatten(0, (self.places, self.places)).permute(2, 0, 1)
        logits = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1) + bias + apart[:, None]
        return self.proj((logits.softmax(-1) @ value).transpose(1, 2).flatten(2))


def _distances(side: int) -> Tensor:
    """The index into the table for each pair of positions in a window, (side^2, side^2)."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    rows, columns = (axis.flatten()[:, None] - axis.flatten()[None] + side - 1 for axis in (y, x))
    return rows * (2 * side - 1) + columns


class ShiftedWindows(nn.Module):
    """Attention within the windows of a map, which may be shifted by half of one: (n, h, w, width) to the same.

    `side` is that of a window. The map is padded with zeros at its end to whole windows.
    """

    def __init__(self, width: int, heads: int, side: int, shifted: bool) -> None:
        super().__init__()
        self.w_msa = WindowMSA(width, heads, side)
        self.side, self.shift = side, side // 2 if shifted else 0

    def forward(self, x: Tensor) -> Tensor:
        (height, width), side = x.shape[1:3], self.side
        x = F.pad(x, (0, 0, 0, -width % side, 0, -height % side))
        rows, columns = x.shape[1] // side, x.shape[2] // side
        x = x.roll((-self.shift, -self.shift), (1, 2))
        windows = _windows(x, side)
        regions = self._regions(rows, x)[:, None] * 3 + self._regions(columns, x)[None]
        regions = _windows(regions[None, :, :, None], side)[..., 0]
        apart = (regions[:, None] != regions[:, :, None]).to(x.dtype) * _APART
        seen = self.w_msa(windows, apart.repeat(x.shape[0], 1, 1))
        x = seen.reshape(-1, rows, columns, side, side, seen.shape[-1]).transpose(2, 3).flatten(3, 4).flatten(1, 2)
        return x.roll((self.shift, self.shift), (1, 2))[:, :height, :width]

    def _regions(self, windows: int, like: Tensor) -> Tensor:
        """The region of each position along an axis: 0, or of shifted windows 1 and 2 for parts of the last."""
        end = windows * self.side
        places = torch.arange(end, device=like.device)
        if not self.shift:
            return torch.zeros_like(places).int()
        return (places >= end - self.side).int() + (places >= end - self.shift).int()


def _windows(x: Tensor, side: int) -> Tensor:
    """A map (n, h, w, c) to its windows (n * windows, side^2, c)."""
    n, height, width, channels = x.shape
    x = x.reshape(n, height // side, side, width // side, side, channels)
    return x.transpose(2, 3).reshape(-1, side**2, channels)


class SwinBlock(nn.Module):
    """Attention within windows and a feed-forward step, each with a norm before it and a shortcut around it."""

    def __init__(self, width: int, heads: int, side: int, shifted: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = ShiftedWindows(width, heads, side, shifted)
        self.ffn = FeedForward(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.ffn(self.norm2(x))


class FeedForward(nn.Module):
    """Four times as many channels and back."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Sequential(nn.Linear(width, 4 * width), nn.GELU()), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class PatchMerging(nn.Module):
    """Four neighbours to one position with twice the channels: (n, h, w, c) to (n, h / 2, w / 2, 2c), h and w even."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * width)
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        n, height, width, channels = x.shape
        # Channel by channel the four, row by row.
        x = x.reshape(n, height // 2, 2, width // 2, 2, channels).permute(0, 1, 3, 5, 2, 4).flatten(3)
        return self.reduction(self.norm(x))


class PatchEmbed(nn.Module):
    """Patches of 4 px to positions: (n, 3, h, w) to (n, h / 4, w / 4, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(3, width, 4, 4)
        self.norm = nn.LayerNorm(width)

    def forward(self, image: Tensor) -> Tensor:
        return self.norm(self.projection(image).permute(0, 2, 3, 1))


class Swin(nn.Module):
    """Image to four levels at strides 4, 8, 16, 32.

    Shapes: (n, 3, h, w), h and w multiples of 32, to four (n, channels[i], h / stride, w / stride). `layers` and
    `heads` count the blocks of each stage and what each attends with, in windows of `window` positions a side. Only the
    levels in `outputs` are normalised.
    """

    def __init__(
        self,
        layers: Sequence[int] = (2, 2, 6, 2),
        *,
        width: int = 96,
        heads: Sequence[int] = (3, 6, 12, 24),
        window: int = 7,
        outputs: Sequence[int] = (1, 2, 3),
    ) -> None:
        super().__init__()
        self.channels = tuple(width << i for i in range(len(layers)))
        self.patch_embed = PatchEmbed(width)
        self.stages = nn.ModuleList()
        for i, (count, own) in enumerate(zip(layers, heads, strict=True)):
            stage = nn.Module()
            stage.blocks = nn.Sequential(*(SwinBlock(width << i, own, window, k % 2 == 1) for k in range(count)))
            if i < len(layers) - 1:
                stage.downsample = PatchMerging(width << i)
            self.stages.append(stage)
            if i in outputs:
                setattr(self, f"norm{i}", nn.LayerNorm(width << i))

    def forward(self, image: Tensor) -> list[Tensor]:
        x = self.patch_embed(image)
        levels: list[Tensor] = []
        for i, stage in enumerate(self.stages):
            x = stage.blocks(x)
            levels.append((getattr(self, f"norm{i}")(x) if hasattr(self, f"norm{i}") else x).permute(0, 3, 1, 2))
            if i < len(self.stages) - 1:
                x = stage.downsample(x)
        return levels


SWIN_T, SWIN_S = Swin, partial(Swin, (2, 2, 18, 2))
TINY_SWIN = partial(Swin, (1, 2, 1, 1), width=8, heads=(1, 2, 2, 2))


def from_config(section: Section) -> Trunk:
    """OpenMMLab's SwinTransformer."""
    section.training("pretrain_img_size", "drop_rate", "attn_drop_rate", "drop_path_rate", "convert_weights")
    section.fixed(in_channels=3, patch_size=4, mlp_ratio=4, strides=(4, 2, 2, 2), qkv_bias=True)
    section.fixed(qk_scale=None, patch_norm=True, use_abs_pos_embed=False)
    check_activation(section, "GELU")
    if norm := section.section("norm_cfg"):
        norm.typed("LN")
        norm.fixed(eps=1e-5)
    outputs, width = read_stages(section, (0, 1, 2, 3)), section.integer("embed_dims", 96)
    layers, heads = (
        section.integers("depths", (2, 2, 6, 2), count=4),
        section.integers("num_heads", (3, 6, 12, 24), count=4),
    )
    if any((width << i) % own for i, own in enumerate(heads)):
        section.refuse("num_heads", "divisors of the channels of each stage")
    window = section.integer("window_size", 7, least=2, most=64)
    network = partial(Swin, layers, width=width, heads=heads, window=window, outputs=outputs)
    return Trunk(network, outputs, tuple(4 << level for level in outputs))
