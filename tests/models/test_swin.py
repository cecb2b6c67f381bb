"""Swin Transformers against their definition in float64."""

import numpy as np
import pytest
import torch

from detforge.models.backbones.swin import TINY_SWIN, ShiftedWindows

WIDTH, HEADS = 4, 2


@pytest.mark.parametrize(("side", "shift"), [(7, 0), (7, 3), (4, 2)])
@pytest.mark.parametrize("size", [(14, 7), (9, 16)])
def test_places_attend_to_their_window(side: int, shift: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    layer = ShiftedWindows(WIDTH, HEADS, side, shift > 0).double().eval()
    with torch.no_grad():
        for value in layer.parameters():
            value.normal_(std=0.5)
    x = torch.randn(2, *size, WIDTH, dtype=torch.float64)
    with torch.inference_mode():
        ours = layer(x).numpy()
    weights = {key: value.numpy() for key, value in layer.state_dict().items()}
    for image, found in zip(x.numpy(), ours, strict=True):
        np.testing.assert_allclose(found, defined(weights, image, side, shift), atol=1e-10)


def defined(w: dict[str, np.ndarray], x: np.ndarray, window: int, shift: int) -> np.ndarray:
    """Place by place: those of the map, padded to whole windows, that lie in one shifted window and do not wrap."""
    height, width = x.shape[:2]
    tall, wide = -(-height // window) * window, -(-width // window) * window
    padded = np.pad(x, ((0, tall - height), (0, wide - width), (0, 0)))
    rows = padded @ w["w_msa.qkv.weight"].T + w["w_msa.qkv.bias"]
    query, key, value = (part.reshape(tall, wide, HEADS, -1) for part in np.split(rows, 3, -1))

    def region(place: int, side: int) -> tuple[int, bool]:
        shifted = (place - shift) % side
        return shifted // window, shifted < place - shift or place < shift

    seen = np.zeros((height, width, WIDTH))
    for y in range(height):
        for x0 in range(width):
            others = [
                (v, u)
                for v in range(tall)
                for u in range(wide)
                if region(v, tall) == region(y, tall) and region(u, wide) == region(x0, wide)
            ]
            for head in range(HEADS):
                logits = []
                for v, u in others:
                    dy, dx = ((y - shift) % tall) - ((v - shift) % tall), ((x0 - shift) % wide) - ((u - shift) % wide)
                    row = (dy + window - 1) * (2 * window - 1) + dx + window - 1
                    bias = w["w_msa.relative_position_bias_table"][row, head]
                    logits.append(query[y, x0, head] @ key[v, u, head] / np.sqrt(WIDTH / HEADS) + bias)
                shares = np.exp(logits) / np.exp(logits).sum()
                part = sum(share * value[v, u, head] for share, (v, u) in zip(shares, others, strict=True))
                seen[y, x0, head * 2 : head * 2 + 2] = part
    return seen @ w["w_msa.proj.weight"].T + w["w_msa.proj.bias"]


def test_levels_halve_the_size() -> None:
    backbone = TINY_SWIN().eval()
    levels = backbone(torch.zeros(2, 3, 64, 96))
    strides = zip(backbone.channels, (4, 8, 16, 32), strict=True)
    assert [tuple(x.shape) for x in levels] == [(2, c, 64 // s, 96 // s) for c, s in strides]


def test_weights_are_named_as_in_mmdet() -> None:
    keys = set(TINY_SWIN().state_dict())
    assert {
        "patch_embed.projection.weight",
        "stages.1.blocks.1.attn.w_msa.relative_position_bias_table",
        "stages.1.blocks.1.ffn.layers.0.0.weight",
        "stages.0.downsample.reduction.weight",
        "norm3.weight",
    } <= keys
