"""Every method for heatmaps against float64 oracles."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from keypoint_oracles import place
from numpy.typing import NDArray

from detforge.deploy import _native
from detforge.deploy.contract.choices import HeatmapMethod
from detforge.deploy.contract.parse import FieldError
from detforge.deploy.forms import Heatmaps

RULES = [
    *(Heatmaps(method) for method in get_args(HeatmapMethod)),
    *(Heatmaps(method, blur) for method in ("dark", "udp") for blur in (1, 3, 7, 17, 31)),
    *(Heatmaps(method, blur) for method in ("megvii", "second_peak") for blur in (5, 9, 21)),
    *(Heatmaps("gaussfit", sigma=sigma) for sigma in (0.5, 3.0)),
    *(Heatmaps("integral", beta=beta, debias=debias) for beta in (10.0, 100.0) for debias in (False, True)),
]
IDS = [f"{r.method}-{r.blur}-{r.sigma}-{r.beta}-{r.debias}" for r in RULES]
SIZES = [(64, 48), (17, 40), (5, 5), (4, 3), (2, 2), (1, 9), (9, 1), (1, 1)]


def decode(maps: NDArray[np.float32], rules: Heatmaps) -> NDArray[np.float32]:
    """x, y and score of each map."""
    order = np.arange(len(maps))
    points, scores = rules.points({"heatmaps": maps[None]}, None, order)
    return np.concatenate((points[0], scores[0, :, None]), 1)


def gaussians(count: int, size: tuple[int, int], noise: float, seed: int) -> NDArray[np.float32]:
    """A peak of sigma 2 px anywhere on the map or up to a pixel beyond its border."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]]
    places = rng.uniform(-1, 1, (count, 2)) + rng.uniform(0, 1, (count, 2)) * np.array(size)
    maps = [np.exp(-((x - px) ** 2 + (y - py) ** 2) / 8) for py, px in places]
    return (rng.uniform(0.2, 1, (count, 1, 1)) * maps + noise * rng.standard_normal((count, *size))).astype(np.float32)


@pytest.mark.parametrize("rules", RULES, ids=IDS)
@pytest.mark.parametrize("noise", [0.0, 0.02, 0.3])
def test_peaks_equal_the_oracle(rules: Heatmaps, noise: float) -> None:
    maps = gaussians(16, (32, 24), noise, seed=int(100 * noise))
    expected = [place(one, rules) for one in maps]
    np.testing.assert_allclose(decode(maps, rules), expected, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("rules", RULES, ids=IDS)
@pytest.mark.parametrize("size", SIZES)
def test_maps_of_any_size_equal_the_oracle(rules: Heatmaps, size: tuple[int, int]) -> None:
    maps = gaussians(5, size, 0.05, seed=size[0])
    np.testing.assert_allclose(decode(maps, rules), [place(one, rules) for one in maps], rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("method", get_args(HeatmapMethod))
def test_scale_changes_nothing_else(method: HeatmapMethod) -> None:
    maps, rules = gaussians(16, (32, 24), 0.05, seed=3), Heatmaps(method, debias=True)
    scaled = decode(maps * np.float32(256), replace(rules, scale=256))
    np.testing.assert_allclose(scaled, decode(maps, rules), rtol=0, atol=1e-6)


@pytest.mark.parametrize("method", ["argmax", "quarter", "dark", "udp", "megvii", "second_peak", "gaussfit"])
def test_of_equal_pixels_the_first_in_row_order(method: HeatmapMethod) -> None:
    maps = np.zeros((1, 40, 40), np.float32)
    maps[0, 12, 30] = maps[0, 12, 9] = maps[0, 30, 5] = 1
    x, y, _ = decode(maps, Heatmaps(method, blur=5))[0]
    assert abs(x - 9) < 0.8
    assert abs(y - 12) < 0.8


@pytest.mark.parametrize("method", get_args(HeatmapMethod))
@pytest.mark.parametrize("size", SIZES)
def test_flat_maps_have_a_keypoint(method: HeatmapMethod, size: tuple[int, int]) -> None:
    found = decode(np.full((2, *size), 0.4, np.float32), Heatmaps(method, blur=5))
    assert np.isfinite(found).all()
    assert (found[:, :2] > -1).all()
    assert (found[:, :2] < [size[1] + 1, size[0] + 1]).all()


@pytest.mark.parametrize("method", [name for name in get_args(HeatmapMethod) if name != "integral"])
@pytest.mark.parametrize("value", [0.0, -2.0])
def test_no_keypoint_where_nothing_is_above_0(method: HeatmapMethod, value: float) -> None:
    x, y, score = decode(np.full((1, 20, 16), value, np.float32), Heatmaps(method, scale=2))[0]
    assert (x, y) == (-1, -1)
    assert score == value / 2 + 0.5 * (method in ("megvii", "second_peak"))


@pytest.mark.parametrize("method", get_args(HeatmapMethod))
def test_what_is_no_number_is_no_peak(method: HeatmapMethod) -> None:
    rules = Heatmaps(method, blur=5, sigma=0.5)
    maps = gaussians(3, (32, 24), 0.02, seed=5)
    maps[0] = np.nan
    maps[1] = 0
    maps[1, 20:] = np.nan
    maps[1, 10, 10] = 3
    maps[2, 4, 5:9] = [np.inf, -np.inf, np.nan, 3e38]
    nothing, some, infinite = decode(maps, rules)
    assert nothing.tolist() == [-1, -1, 0.5 * (method in ("megvii", "second_peak"))]
    assert np.isfinite(infinite).all()
    if method == "integral":
        assert some[1] < 20
    else:
        np.testing.assert_allclose(some[:2], 10.25, rtol=0, atol=0.75)


@pytest.mark.parametrize(
    ("method", "blur", "wanted"),
    [
        ("argmax", 1, (20, 31)),
        ("quarter", 1, (20.25, 30.75)),
        ("parabola", 1, (20.28799, 30.71201)),
        ("paraboloid", 1, (20.29407, 30.70593)),
        ("dark", 1, (20.3, 30.7)),
        ("dark", 11, (20.29984, 30.70016)),
        ("udp", 11, (20.30004, 30.69996)),
        ("gaussfit", 1, (20.3, 30.7)),
        ("integral", 1, (23.47, 31.49)),
    ],
)
def test_bias_on_a_perfect_gaussian(method: HeatmapMethod, blur: int, wanted: tuple[float, float]) -> None:
    """Sigma 2 px at (20.3, 30.7): what each rule makes of it."""
    y, x = np.mgrid[:64, :48]
    one = np.exp(-((x - 20.3) ** 2 + (y - 30.7) ** 2) / 8).astype(np.float32)
    found = decode(one[None], Heatmaps(method, blur))[0]
    np.testing.assert_allclose(found[:2], wanted, rtol=0, atol=1e-5 if method != "integral" else 5e-3)


def test_second_peak_decides_where_the_authors_step() -> None:
    """Sigma 2 px at (20.31, 30.7): the pixel on the right is the second largest."""
    y, x = np.mgrid[:64, :48]
    one = np.exp(-((x - 20.31) ** 2 + (y - 30.7) ** 2) / 8).astype(np.float32)
    found = decode(255 * one[None], Heatmaps("second_peak", 5, scale=255))[0]
    np.testing.assert_allclose(found, (20.75, 31.5, one[31, 20] + 0.5), rtol=0, atol=1e-6)


@pytest.mark.parametrize("change", [{"scale": 0.0}, {"blur": 4}, {"sigma": 0.0}, {"beta": 0.0}, {"shift": 1.5}])
def test_rules_out_of_range_are_refused(change: dict) -> None:
    with pytest.raises(FieldError, match=rf"form\.{next(iter(change))}"):
        Heatmaps(**change)


@pytest.mark.parametrize("change", [{"blur": -5}, {"blur": 4}, {"sigma": np.inf}, {"beta": -1}, {"scale": 0}])
def test_the_kernel_refuses_what_it_cannot_do(change: dict) -> None:
    rules = dict(blur=3, sigma=2, beta=1, debias=False, scale=1, older=False) | change
    with pytest.raises(ValueError, match=r"kernel|out of range"):
        _native.heatmap_peaks(np.ones((1, 1, 4, 4), np.float32), "udp", **rules)
