"""ConvNeXt's block against its definition in float64."""

import numpy as np
import torch

from detforge.models.backbones.convnext import TINY_CONVNEXT, ConvNeXtBlock

WIDTH, SIDE = 4, 5


def test_a_block_is_its_formula() -> None:
    torch.manual_seed(0)
    block = ConvNeXtBlock(WIDTH).double().eval()
    with torch.no_grad():
        for value in block.parameters():
            value.normal_(std=0.5)
    x = torch.randn(1, WIDTH, SIDE, SIDE, dtype=torch.float64)
    with torch.inference_mode():
        ours = block(x)[0].numpy()
    w = {key: value.numpy() for key, value in block.state_dict().items()}
    image, expected = x[0].numpy(), np.empty((WIDTH, SIDE, SIDE))
    padded = np.pad(image, ((0, 0), (3, 3), (3, 3)))
    for i in range(SIDE):
        for j in range(SIDE):
            kernel = w["depthwise_conv.weight"][:, 0]
            row = (kernel * padded[:, i : i + 7, j : j + 7]).sum((1, 2)) + w["depthwise_conv.bias"]
            row = (row - row.mean()) / np.sqrt(row.var() + 1e-6) * w["norm.weight"] + w["norm.bias"]
            wide = torch.from_numpy(w["pointwise_conv1.weight"] @ row + w["pointwise_conv1.bias"])
            active = (wide * (1 + torch.erf(wide / 2**0.5)) / 2).numpy()
            step = w["pointwise_conv2.weight"] @ active + w["pointwise_conv2.bias"]
            expected[:, i, j] = image[:, i, j] + w["gamma"] * step
    np.testing.assert_allclose(ours, expected, atol=1e-10)


def test_levels_halve_the_size() -> None:
    backbone = TINY_CONVNEXT().eval()
    levels = backbone(torch.zeros(2, 3, 64, 96))
    strides = zip(backbone.channels, (4, 8, 16, 32), strict=True)
    assert [tuple(x.shape) for x in levels] == [(2, c, 64 // s, 96 // s) for c, s in strides]
