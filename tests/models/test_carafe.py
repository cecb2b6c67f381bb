"""CARAFE's upsampling against its definition."""

import numpy as np
import torch
from torch.nn import functional as F

from detforge.models.necks.carafe import Carafe, CarafePyramid


def test_each_place_has_weights_of_its_own_for_the_window_around_its_source() -> None:
    torch.manual_seed(0)
    layer, x = Carafe(6, 4).double(), torch.randn(2, 6, 3, 4, dtype=torch.float64)
    with torch.inference_mode():
        ours = layer(x).numpy()
        logits = F.pixel_shuffle(layer.content_encoder(layer.channel_compressor(x)), 2).numpy()
    weights = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (2, 2), (2, 2)))
    expected = np.zeros((2, 6, 6, 8))
    for i, j in np.ndindex(6, 8):
        window = padded[:, :, i // 2 : i // 2 + 5, j // 2 : j // 2 + 5].reshape(2, 6, 25)
        expected[:, :, i, j] = (window * weights[:, None, :, i, j]).sum(-1)
    np.testing.assert_allclose(ours, expected, atol=1e-12)


def test_odd_levels_cut_what_is_upsampled() -> None:
    neck = CarafePyramid((4, 6), 8, narrow=4).eval()
    with torch.inference_mode():
        outputs = neck([torch.randn(1, 4, 9, 7), torch.randn(1, 6, 5, 4)])
    assert [tuple(x.shape[2:]) for x in outputs] == [(9, 7), (5, 4), (3, 2)]
