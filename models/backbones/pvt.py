"""Pyramid Vision Transformer (Wang et al., arXiv 2102.12122) and its second version (Wang et al., arXiv 2106.13797)."""

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from ..config.parts import Trunk
from ..config.section import Section
from ..config.trunks import check_activation, read_stages

_HEADS, _REDUCTIONS = (1, 2, 5, 8), (8, 4, 2, 1)
_TRAINED = 224  # px, which positions were learned for
_EPS = 1e-6


class Attention(nn.Module):
    """Attention from all positions to a map that is `reduction` times smaller, added to x (section 3.3).

    Shapes: x and its normalised form (n, h * w, width), and (h, w), to (n, h * w, width).
    """

    def __init__(self, width: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.reduction = reduction
        if reduction > 1:
            self.sr = nn.Conv2d(width, width, reduction, reduction)
            self.norm = nn.LayerNorm(width, _EPS)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        keys = self.norm(_rows(self.sr(_map(x, size)))) if self.reduction > 1 else x
        # nn.MultiheadAttention puts the batch second. ONNX Runtime 1.31 crashes when it opens that graph in fp16.
        weight, bias, width = self.attn.in_proj_weight, self.attn.in_proj_bias, x.shape[-1]
        query = F.linear(x, weight[:width], bias[:width])
        key, value = F.linear(keys, weight[width:], bias[width:]).chunk(2, -1)
        query, key, value = (
            rows.unflatten(-1, (self.attn.num_heads, -1)).transpose(1, 2) for rows in (query, key, value)
        )
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.attn.out_proj(mixed.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """1x1 convolutions to `wide` channels and back; between them, with `mixed`, a depthwise 3x3 (v2, section 3.3)."""

    def __init__(self, width: int, wide: int, mixed: bool) -> None:
        super().__init__()
        between = [nn.Conv2d(wide, wide, 3, padding=1, groups=wide)] if mixed else []
        # What trains with dropout has a place here that does nothing.
        self.layers = nn.Sequential(
            nn.Conv2d(width, wide, 1), *between, nn.GELU(), nn.Identity(), nn.Conv2d(wide, width, 1)
        )

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        return _rows(self.layers(_map(x, size)))


class EncoderLayer(nn.Module):
    """Attention and a feed-forward step, each with a norm before it and a shortcut around it."""

    def __init__(self, width: int, heads: int, reduction: int, growth: int, mixed: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, _EPS), nn.LayerNorm(width, _EPS)
        self.attn = Attention(width, heads, reduction)
        self.ffn = FeedForward(width, growth * width, mixed)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        x = x + self.attn(self.norm1(x), size)
        return x + self.ffn(self.norm2(x), size)


class Positions(nn.Module):
    """Learned positions, resized to the map and added."""

    def __init__(self, width: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.pos_embed = nn.Parameter(nn.init.trunc_normal_(nn.Parameter(Tensor(1, side * side, width)), std=0.02))

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        learned = _map(self.pos_embed, (self.side, self.side))
        return x + _rows(F.interpolate(learned, size=size, mode="bilinear"))


class PatchEmbed(nn.Module):
    """A map to one with fewer positions, normalised, and its size: (n, c, h, w) to (n, h' * w', width)."""

    def __init__(self, in_channels: int, width: int, kernel: int, stride: int, padding: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(in_channels, width, kernel, stride, padding)
        self.norm = nn.LayerNorm(width, _EPS)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        x = self.projection(x)
        return self.norm(_rows(x)), (x.shape[2], x.shape[3])


class PVT(nn.Module):
    """Image to four levels at strides 4, 8, 16, 32.

    Shapes: (n, 3, h, w), h and w multiples of 32, to four (n, channels[i], h / stride, w / stride). `layers` counts
    those of each stage, `growth` is how much wider their feed-forward steps are. The `second` version has overlapping
    patches, positions from depthwise convolutions, and a norm after each stage.
    """

    def __init__(
        self,
        layers: Sequence[int],
        *,
        width: int = 64,
        growth: Sequence[int] = (8, 8, 4, 4),
        second: bool = False,
    ) -> None:
        super().__init__()
        self.channels = tuple(width * heads for heads in _HEADS)
        stages: list[nn.Module] = []
        in_channels = 3
        for i, (count, out, heads) in enumerate(zip(layers, self.channels, _HEADS, strict=True)):
            stride = 2 if i else 4
            kernel, padding = ((3, 1) if i else (7, 3)) if second else (stride, 0)
            positions = [] if second else [Positions(out, _TRAINED // (4 << i))]
            blocks = (EncoderLayer(out, heads, _REDUCTIONS[i], growth[i], second) for _ in range(count))
            norm = nn.LayerNorm(out, _EPS) if second else nn.Identity()
            embed = PatchEmbed(in_channels, out, kernel, stride, padding)
            stages.append(nn.ModuleList([embed, nn.ModuleList([*positions, *blocks]), norm]))
            in_channels = out
        self.layers = nn.ModuleList(stages)

    def forward(self, image: Tensor) -> list[Tensor]:
        x = image
        levels: list[Tensor] = []
        for embed, blocks, norm in self.layers:
            x, size = embed(x)
            for block in blocks:
                x = block(x, size)
            x = _map(norm(x), size)
            levels.append(x)
        return levels


def _map(x: Tensor, size: tuple[int, int]) -> Tensor:
    return x.transpose(1, 2).unflatten(2, size)


def _rows(x: Tensor) -> Tensor:
    return x.flatten(2).transpose(1, 2)


TINY_PVT = partial(PVT, (1, 1, 1, 1), width=8)
TINY_PVT_V2 = partial(PVT, (1, 1, 1, 1), width=8, second=True)


def from_config(section: Section) -> Trunk:
    """OpenMMLab's PyramidVisionTransformer and PyramidVisionTransformerV2."""
    section.training("drop_rate", "attn_drop_rate", "drop_path_rate", "convert_weights")
    section.fixed(in_channels=3, num_stages=4, num_heads=_HEADS, sr_ratios=_REDUCTIONS, qkv_bias=True)
    section.fixed(strides=(4, 2, 2, 2), pretrain_img_size=_TRAINED)
    second = section.type == "PyramidVisionTransformerV2"
    if not second:
        section.fixed(patch_sizes=(4, 2, 2, 2), paddings=(0, 0, 0, 0), use_abs_pos_embed=True)
        section.fixed(norm_after_stage=False, use_conv_ffn=False)
    check_activation(section, "GELU")
    if norm := section.section("norm_cfg"):
        norm.typed("LN")
        norm.same("eps", _EPS)
    outputs = read_stages(section, (0, 1, 2, 3))
    network = partial(
        PVT,
        section.integers("num_layers", (3, 4, 6, 3), count=4),
        width=section.integer("embed_dims", 64),
        growth=section.integers("mlp_ratios", (8, 8, 4, 4), count=4),
        second=second,
    )
    return Trunk(network, outputs, tuple(4 << level for level in outputs))
