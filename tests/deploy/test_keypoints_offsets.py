"""Maps with offsets, and bins, against float64 oracles."""

from math import pi

import numpy as np
import pytest
from keypoint_oracles import kernel, largest, smooth
from numpy.typing import NDArray

from detforge.deploy import _native
from detforge.deploy.contract.parse import FieldError
from detforge.deploy.forms import Offsets, Simcc, Votes

ORDER = np.arange(6)


def draw(size: tuple[int, int], reach: float, seed: int) -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    return {
        "heatmaps": rng.uniform(0, 1, (2, 6, *size)).astype(np.float32) ** 4,
        "offsets": rng.normal(0, reach, (2, 6, 2, *size)).astype(np.float32),
    }


@pytest.mark.parametrize(("blur", "offset_blur"), [(23, 1), (15, 7), (1, 1)])
@pytest.mark.parametrize("size", [(24, 16), (3, 5), (1, 4), (1, 1)])
def test_udp_offsets_equal_the_oracle(size: tuple[int, int], blur: int, offset_blur: int) -> None:
    outputs = draw(size, 0.5, seed=size[0])
    points, scores = Offsets(3.5, blur, offset_blur).points(outputs, None, ORDER)
    for i in np.ndindex(2, 6):
        smoothed = smooth(outputs["heatmaps"][i].astype(np.float64), blur, "reflect")
        x, y = largest(smoothed)
        dx, dy = (3.5 * smooth(one.astype(np.float64), offset_blur, "reflect")[y, x] for one in outputs["offsets"][i])
        np.testing.assert_allclose(points[i], (x + dx, y + dy), rtol=0, atol=1e-5)
        assert scores[i] == pytest.approx(smoothed.max(), abs=1e-6)


@pytest.mark.parametrize("size", [(24, 16), (3, 5), (1, 1)])
def test_without_a_value_above_0_offsets_are_those_of_the_previous_keypoint(size: tuple[int, int]) -> None:
    """mmpose indexes all maps as one array, so the pixel (-1, -1) lies at the end of the map before."""
    outputs = draw(size, 0.5, seed=3)
    outputs["heatmaps"] *= -1
    points, scores = Offsets(2, 1).points(outputs, None, ORDER)
    for n, k in np.ndindex(2, 6):
        offsets = outputs["offsets"][n, k - 1, :, max(size[0] - 2, 0), -1]
        np.testing.assert_allclose(points[n, k], -1 + 2 * offsets, rtol=0, atol=1e-5)
        assert scores[n, k] == outputs["heatmaps"][n, k].max()


@pytest.mark.parametrize("size", [(24, 16), (3, 5), (1, 4), (1, 1)])
def test_votes_equal_the_oracle(size: tuple[int, int]) -> None:
    outputs = draw(size, 3, seed=size[1])
    points, scores = Votes(4).points(outputs, None, ORDER)
    y, x = np.mgrid[: size[0], : size[1]]
    for i in np.ndindex(2, 6):
        weights = outputs["heatmaps"][i].astype(np.float64)
        to_x, to_y = x + outputs["offsets"][i][0].astype(np.float64), y + outputs["offsets"][i][1].astype(np.float64)
        fused = np.zeros(size)
        for row, column in np.ndindex(*size):
            tent = np.maximum(1 - abs(to_x - column), 0) * np.maximum(1 - abs(to_y - row), 0)
            fused[row, column] = (tent * weights).sum() / (pi * 4**2)
        assert tuple(points[i]) == (largest(fused) if fused.max() > 0 else (-1, -1))
        assert scores[i] == pytest.approx(fused.max(), rel=1e-5)


def test_a_disc_that_agrees_scores_1() -> None:
    """The pixels of a disc of radius 10 point at its middle, each sure of itself."""
    y, x = np.mgrid[:41, :51]
    vectors = np.stack((30 - x, 20 - y)).astype(np.float32)
    inside = np.hypot(*vectors) <= 10
    outputs = {"heatmaps": inside[None, None].astype(np.float32), "offsets": vectors[None, None]}
    points, scores = Votes(10).points(outputs, None, np.arange(1))
    assert points.tolist() == [[[30, 20]]]
    assert scores[0, 0] == pytest.approx(inside.sum() / (pi * 100))
    assert scores[0, 0] == pytest.approx(1, abs=0.02)


def test_votes_at_the_last_number_before_the_border() -> None:
    """One more than that number is 65 in float32, which no pixel of this row is."""
    outputs = {"heatmaps": np.ones((1, 1, 2, 64), np.float32), "offsets": np.zeros((1, 1, 2, 2, 64), np.float32)}
    outputs["offsets"][0, 0, 0, :, 0] = np.nextafter(np.float32(64), np.float32(0))
    outputs["offsets"][0, 0, 1, 1, 0] = np.nextafter(np.float32(1), np.float32(0))
    points, scores = Votes(1).points(outputs, None, np.arange(1))
    assert points.tolist() == [[[63, 0]]]
    assert scores[0, 0] == pytest.approx(1 / pi, rel=1e-5)


@pytest.mark.parametrize("form", [Offsets(4, 5, 3), Votes(4)])
def test_offsets_that_are_no_numbers_do_no_harm(form: Offsets | Votes) -> None:
    outputs = draw((12, 9), 1, seed=0)
    rng = np.random.default_rng(1)
    for values in outputs.values():
        spoilt = rng.uniform(size=values.shape)
        values[spoilt < 0.2] = np.nan
        values[spoilt > 0.9] = np.inf
        values[spoilt > 0.95] = -3e38
    points, scores = form.points(outputs, None, ORDER)
    assert np.isfinite(points).all()
    assert np.isfinite(scores).all()
    outputs["heatmaps"][:] = np.nan
    points, scores = form.points(outputs, None, ORDER)
    assert np.isfinite(points).all()
    assert (scores == 0).all()


def step(row: NDArray[np.float64], size: int) -> float:
    """The best bin, moved by DARK in one axis."""
    smoothed = np.convolve(np.pad(row, size // 2), kernel(size), "valid")
    h = np.pad(np.log(np.clip(smoothed * row.max() / smoothed.max(), 1e-3, 50)), 2, "edge")
    best = int(row.argmax())
    first, second = h[best + 3] - h[best + 1], h[best + 4] - 2 * h[best + 2] + h[best]
    return best - 0.5 * first / (1e-9 + 0.25 * second)


@pytest.mark.parametrize("height", [0.9, 0.01, 60.0])
@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_bins_equal_the_oracle(height: float, noise: float) -> None:
    rng = np.random.default_rng(4)
    rows = {}
    for name, bins in (("x", 40), ("y", 64)):
        centres = rng.uniform(0, bins - 1, (2, 6, 1))
        bumps = height * np.exp(-((np.arange(bins) - centres) ** 2) / 18)
        rows[name] = (bumps + noise * height * rng.standard_normal(bumps.shape)).astype(np.float32)
    points, scores = Simcc(split=2, dark=(5, 9)).points(rows, None, ORDER)
    for i in np.ndindex(2, 6):
        x, y = rows["x"][i].astype(np.float64), rows["y"][i].astype(np.float64)
        np.testing.assert_allclose(points[i], (step(x, 5) / 2, step(y, 9) / 2), rtol=1e-5, atol=1e-4)
        assert scores[i] == np.float32(min(x.max(), y.max()))


@pytest.mark.parametrize("sizes", [(3, 4), (-1, 3), (3, 257)])
def test_sizes_of_bins_out_of_range_are_refused(sizes: tuple[int, int]) -> None:
    with pytest.raises(FieldError, match=r"form\.dark"):
        Simcc(dark=sizes)


def test_the_kernels_refuse_sizes_without_a_middle() -> None:
    maps = np.ones((1, 2, 2, 4, 4), np.float32)
    for sizes in ((-5, 3), (3, -5), (3, 4)):
        with pytest.raises(ValueError, match="kernel's size"):
            _native.offset_peaks(maps[:, :, 0], maps, 1.0, *sizes)
    with pytest.raises(ValueError, match="kernel's size"):
        _native.bin_peaks(maps[0, 0, 0], -5)


def test_bins_of_no_keypoint() -> None:
    rows = {"x": np.zeros((1, 3, 8), np.float32), "y": np.ones((1, 3, 1), np.float32)}
    rows["x"][0, 1] = np.nan
    rows["x"][0, 2, 5] = -1
    points, scores = Simcc(split=2, dark=(3, 3)).points(rows, None, np.arange(3))
    assert (points == -0.5).all()
    assert (scores == 0).all()
