"""Pyramid Vision Transformers against their definition in float64, and the names of mmdet's weights."""

import numpy as np
import torch
from torch import nn

from detforge.models.backbones.pvt import PVT, TINY_PVT, TINY_PVT_V2, EncoderLayer

WIDTH, HEADS, SIDE = 8, 2, 4


def test_a_layer_is_attention_to_a_smaller_map_and_a_step_forward() -> None:
    torch.manual_seed(0)
    layer = lively(EncoderLayer(WIDTH, HEADS, 2, 3, mixed=True)).eval()
    x = torch.randn(1, SIDE * SIDE, WIDTH, dtype=torch.float64)
    with torch.inference_mode():
        ours = layer(x, (SIDE, SIDE))[0].numpy()
    np.testing.assert_allclose(ours, defined(layer, x[0].numpy()), atol=1e-10)


def test_both_versions_halve_the_size_from_level_to_level() -> None:
    for backbone in (TINY_PVT(), TINY_PVT_V2()):
        levels = backbone.eval()(torch.zeros(2, 3, 64, 96))
        assert [tuple(x.shape) for x in levels] == [
            (2, c, 64 // s, 96 // s) for c, s in zip(backbone.channels, (4, 8, 16, 32), strict=True)
        ]


def test_weights_are_named_as_in_mmdet() -> None:
    first, second = (set(PVT((1, 1, 1, 1), second=version).state_dict()) for version in (False, True))
    both = {"layers.0.0.projection.weight", "layers.0.1.{}.attn.attn.in_proj_weight", "layers.0.1.{}.attn.sr.weight"}
    assert {key.format(1) for key in both} | {"layers.0.1.0.pos_embed", "layers.3.1.1.ffn.layers.3.weight"} <= first
    assert {key.format(0) for key in both} | {"layers.0.2.weight", "layers.3.1.0.ffn.layers.4.weight"} <= second


def lively(layer: nn.Module) -> nn.Module:
    """In float64, every parameter at random."""
    layer = layer.double()
    with torch.no_grad():
        for value in layer.parameters():
            value.normal_(std=0.3)
    return layer


def defined(layer: EncoderLayer, x: np.ndarray) -> np.ndarray:
    """The layer's formula, place by place and head by head."""
    w = {key: value.numpy() for key, value in layer.state_dict().items()}
    normed = norm(x, w["norm1.weight"], w["norm1.bias"])
    grid = normed.reshape(SIDE, SIDE, WIDTH)
    small = [
        np.einsum("ocyx,yxc->o", w["attn.sr.weight"], grid[2 * i : 2 * i + 2, 2 * j : 2 * j + 2]) + w["attn.sr.bias"]
        for i in range(SIDE // 2)
        for j in range(SIDE // 2)
    ]
    keys = norm(np.array(small), w["attn.norm.weight"], w["attn.norm.bias"])
    parts = zip(np.split(w["attn.attn.in_proj_weight"], 3), np.split(w["attn.attn.in_proj_bias"], 3), strict=True)
    query, key, value = (
        source @ weight.T + bias for source, (weight, bias) in zip((normed, keys, keys), parts, strict=True)
    )
    seen = np.empty_like(x)
    size = WIDTH // HEADS
    for place in range(len(x)):
        for head in range(HEADS):
            columns = slice(head * size, (head + 1) * size)
            weights = np.exp(key[:, columns] @ query[place, columns] / np.sqrt(size))
            seen[place, columns] = weights @ value[:, columns] / weights.sum()
    x = x + seen @ w["attn.attn.out_proj.weight"].T + w["attn.attn.out_proj.bias"]
    wide = norm(x, w["norm2.weight"], w["norm2.bias"]) @ w["ffn.layers.0.weight"][:, :, 0, 0].T + w["ffn.layers.0.bias"]
    padded = np.pad(wide.reshape(SIDE, SIDE, -1), ((1, 1), (1, 1), (0, 0)))
    kernel = w["ffn.layers.1.weight"][:, 0]
    mixed = [np.einsum("cyx,yxc->c", kernel, padded[i : i + 3, j : j + 3]) for i in range(SIDE) for j in range(SIDE)]
    mixed = torch.from_numpy(np.array(mixed) + w["ffn.layers.1.bias"])
    active = (mixed * (1 + torch.erf(mixed / 2**0.5)) / 2).numpy()
    return x + active @ w["ffn.layers.4.weight"][:, :, 0, 0].T + w["ffn.layers.4.bias"]


def norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6) * weight + bias
