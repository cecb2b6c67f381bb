"""DASNet against its authors' numbers, and its attention against a plain definition."""

from typing import Any

import numpy as np
import pytest
import torch
from golden.agreement import assert_tensors_agree
from golden.reader import Sample, load_ops, picture, positions, weight
from torch.nn import functional as F

from detforge.models.checkpoint import Checkpoint, load_variant
from detforge.models.heads.danet import ChannelAttention, PositionAttention
from detforge.models.zoo import find

SIDE = 256  # px of the map on which the authors decide


@pytest.mark.slow
@pytest.mark.parametrize("case", load_ops("dasnet_r50"), ids=lambda case: case["name"])
def test_every_tensor_equals_the_authors(case: dict[str, Any]) -> None:
    args = case["args"]
    state = {
        key: case["in"][key] if gain is None else weight(key, tuple(shape), gain) for key, shape, gain in args["state"]
    }
    variant = find("dasnet_r50")
    model = load_variant(variant, Checkpoint({k: torch.from_numpy(v) for k, v in state.items()}, "golden", None, None))
    height, width = args["shape"][2:]
    before = picture(height, width, 0)
    after = before.copy()
    part = np.s_[:, height // 4 : height // 2, width // 3 : 2 * width // 3]
    after[part] = picture(height, width, 1)[part]
    pair = [torch.from_numpy(image[None]) for image in (before, after)]
    with torch.inference_mode():
        levels = [model.backbone(image)[-1] for image in pair]
        features = [model.features(image) for image in pair]
        whole = model(*pair)["distance"]
    ours = {"backbone": levels[0], "backbone@1": levels[1], "embedding/0": features[0], "embedding/1": features[1]}
    tag = args["tag"]
    samples = {
        key: Sample(tuple(shape), std, positions(f"{tag}/raw/{key}", int(np.prod(shape)), count)[::8], case["out"][key])
        for key, (shape, std, count) in args["raw"].items()
    }
    assert_tensors_agree(samples, ours, 1e-3)
    grid = (features[0] - features[1] + 1e-6).norm(dim=1, keepdim=True)
    np.testing.assert_allclose(grid[0, 0], case["out"]["distance_embedding"].reshape(grid.shape[2:]), atol=1e-4)
    # What the network gives lies between the same grid points as what the authors resize to one size.
    np.testing.assert_allclose(
        whole, F.interpolate(grid, (height, width), mode="bilinear", align_corners=True), atol=1e-5
    )
    change = F.interpolate(grid, (SIDE, SIDE), mode="bilinear", align_corners=True).numpy().ravel()
    places = positions(f"{tag}/out/change", SIDE * SIDE, args["samples"])
    np.testing.assert_allclose(change[places], case["out"]["change"], atol=1e-4)


def test_attention_equals_its_definition() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 16, 3, 4)
    places, channels = PositionAttention(16), ChannelAttention()
    with torch.no_grad():
        places.gamma.fill_(0.5), channels.gamma.fill_(0.5)
        found = places(x).double(), channels(x).double()
        q, k, v = (f(x).double() for f in (places.query_conv, places.key_conv, places.value_conv))
    for n in range(2):
        flat = x[n].double().flatten(1)
        expected = flat.clone()
        for i in range(12):
            scores = torch.stack([q[n].flatten(1)[:, i] @ k[n].flatten(1)[:, j] for j in range(12)])
            expected[:, i] += 0.5 * sum(w * v[n].flatten(1)[:, j] for j, w in enumerate(scores.softmax(0)))
        torch.testing.assert_close(found[0][n].flatten(1), expected, atol=1e-5, rtol=0)
        expected = flat.clone()
        for i in range(16):
            products = torch.stack([flat[i] @ flat[j] for j in range(16)])
            expected[i] += 0.5 * sum(w * flat[j] for j, w in enumerate((products.max() - products).softmax(0)))
        torch.testing.assert_close(found[1][n].flatten(1), expected, atol=1e-5, rtol=0)
