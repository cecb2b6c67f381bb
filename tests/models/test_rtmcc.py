"""RTMPose's head against its definition (arXiv 2303.07399, section 3.3, and 2202.10447, section 2), in float64."""

import numpy as np
import pytest
import torch

from detforge.models.heads.rtmcc import RTMCCHead

KEYPOINTS, CHANNELS, HIDDEN = 5, 6, 8
SIZE = (96, 64)


@pytest.fixture(scope="module")
def head() -> RTMCCHead:
    torch.manual_seed(0)
    head = RTMCCHead(KEYPOINTS, CHANNELS, SIZE, hidden=HIDDEN)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter)
    return head.eval()


def scale_norm(x: np.ndarray, g: float) -> np.ndarray:
    """A vector of c values to the length g * sqrt(c)."""
    return np.array([row / max(np.linalg.norm(row) / len(row) ** 0.5, 1e-5) * g for row in x])


def silu(x: np.ndarray) -> np.ndarray:
    return x / (1 + np.exp(-x))


def definition(head: RTMCCHead, maps: np.ndarray) -> dict[str, np.ndarray]:
    """Of one image: maps (k, cells) to the bins of each axis, keypoint by keypoint."""
    p = {name: value.detach().numpy().astype(np.float64) for name, value in head.named_parameters()}
    x = scale_norm(maps, p["mlp.0.g"][0]) @ p["mlp.1.weight"].T
    hidden = silu(scale_norm(x, p["gau.ln.g"][0]) @ p["gau.uv.weight"].T)
    u, v, z = hidden[:, : 2 * HIDDEN], hidden[:, 2 * HIDDEN : 4 * HIDDEN], hidden[:, 4 * HIDDEN :]
    (query, key), inner = (z * p["gau.gamma"][i] + p["gau.beta"][i] for i in range(2)), z.shape[1]
    mixed = np.zeros_like(x)
    for i in range(KEYPOINTS):
        gathered = sum(max(query[i] @ key[j] / inner**0.5, 0) ** 2 * v[j] for j in range(KEYPOINTS))
        mixed[i] = p["gau.o.weight"] @ (u[i] * gathered)
    tokens = x * p["gau.res_scale.scale"] + mixed
    return {axis: tokens @ p[f"cls_{axis}.weight"].T for axis in ("x", "y")}


def test_the_head_is_its_definition(head: RTMCCHead) -> None:
    maps = torch.randn(2, KEYPOINTS, 3, 2, generator=torch.Generator().manual_seed(1))
    maps[1, 2] = 0  # a length that nothing is divided by
    with torch.inference_mode():
        found = head.decode(maps)
    assert found["x"].shape == (2, KEYPOINTS, 2 * SIZE[1])
    assert found["y"].shape == (2, KEYPOINTS, 2 * SIZE[0])
    for i in range(2):
        for axis, expected in definition(head, maps[i].flatten(1).double().numpy()).items():
            np.testing.assert_allclose(found[axis][i].numpy(), expected, rtol=1e-4, atol=1e-4 * expected.std())


@pytest.mark.parametrize("size", [1e-4, 1.0, 1e4])
def test_half_precision_keeps_its_range(head: RTMCCHead, size: float) -> None:
    """Squares of small and of large values leave it: only weights and maps are rounded, nothing between."""
    half = RTMCCHead(KEYPOINTS, CHANNELS, SIZE, hidden=HIDDEN)
    half.load_state_dict(head.state_dict())
    half.half()
    maps = (size * torch.randn(1, KEYPOINTS, 3, 2, generator=torch.Generator().manual_seed(1))).half()
    with torch.inference_mode():
        found = half.decode(maps)
    rounded = RTMCCHead(KEYPOINTS, CHANNELS, SIZE, hidden=HIDDEN)
    rounded.load_state_dict(half.state_dict())
    for axis, expected in definition(rounded, maps[0].flatten(1).double().numpy()).items():
        assert found[axis].dtype == torch.float32
        np.testing.assert_allclose(found[axis][0].numpy(), expected, rtol=1e-4, atol=1e-4 * expected.std())
