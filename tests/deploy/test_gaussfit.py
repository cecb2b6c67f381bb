"""The least-squares Gaussian of a peak against a QR decomposition in float64."""

from typing import Any

import numpy as np
import pytest
from golden.crowds import rounded
from golden.reader import load_ops, rng

from detforge.deploy.forms import Heatmaps

CASES = {case["name"]: case for case in load_ops("gaussfit")}


def bells(
    name: str,
    sigma: float = 2.0,
    noise: float = 0.0,
    u8: bool = False,
    border: bool = False,
    second: float = 0.0,
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Maps (17, 64, 48), each of one Gaussian, with a lower second one, noise, or rounded to 8 bits.

    With `border` its centre is near a side of the map or up to a px outside.
    """
    draw, h, w = rng(f"gauss/{name}"), 64, 48
    y, x = np.mgrid[:h, :w].astype(np.float64)
    maps = np.zeros((17, h, w))

    def bell(left: float, top: float, peak: float) -> np.ndarray[Any, Any]:
        return peak * np.exp(-((x - left) ** 2 + (y - top) ** 2) / (2 * sigma**2))

    for i in range(17):
        margin = (-1, 0) if border else (8, 9)
        left, top = draw.uniform(margin[0], w - margin[1]), draw.uniform(margin[0], h - margin[1])
        if border:
            side = w if i % 2 else h
            near = draw.choice([draw.uniform(-0.9, 1.5), draw.uniform(side - 2.5, side - 0.1)])
            left, top = (near, top) if i % 2 else (left, near)
        peak = draw.uniform(0.5, 1.0)
        maps[i] = bell(left, top, peak)
        if second:
            maps[i] = np.maximum(maps[i], bell(draw.uniform(0, w - 1), draw.uniform(0, h - 1), second * peak))
    maps += noise * draw.standard_normal(maps.shape)
    return rounded(np.round(np.clip(maps, 0, 1) * 255) / 255 if u8 else maps)


def places(maps: np.ndarray[Any, Any], sigma: float) -> np.ndarray[Any, Any]:
    form = Heatmaps("gaussfit", sigma=sigma, flip=False)
    return form.points({"heatmaps": maps[None]}, None, np.arange(len(maps)))[0][0]


@pytest.mark.parametrize("name", sorted(CASES.keys() - {"lsq_degenerate"}))
def test_the_fit_is_that_of_a_qr_decomposition(name: str) -> None:
    args, out = CASES[name]["args"], CASES[name]["out"]
    maps = bells(
        args["name"], **{key: args[key] for key in ("sigma", "noise", "u8", "border", "second") if key in args}
    )
    assert not out["fallback"].any()
    np.testing.assert_allclose(places(maps, args["fit_sigma"]), out["xy"], atol=1e-5)


def test_peaks_without_a_gaussian_stay_where_they_are() -> None:
    """Nothing, a negative ramp, two pixels, one pixel, a product of ramps and a bowl: within a quarter of a pixel."""
    case = CASES["lsq_degenerate"]
    maps = case["in"]["maps"]
    found = places(maps, 2.0)
    np.testing.assert_array_equal(found[:2], -1)
    peaks = [np.unravel_index(each.argmax(), each.shape)[::-1] for each in maps[2:]]
    assert np.abs(found[2:] - peaks).max() <= 0.25
    fell = case["out"]["fallback"][2:] == 1
    np.testing.assert_allclose(np.array(peaks)[fell], case["out"]["xy"][2:][fell])
