"""Keypoints against mmpose's codecs and refinements."""

from typing import Any

import numpy as np
import pytest
from golden.reader import heatmaps, load_ops, rng
from numpy.typing import NDArray

from detforge.deploy.contract.choices import HeatmapMethod
from detforge.deploy.forms import Heatmaps, Offsets, Simcc
from detforge.deploy.forms.form import Mirror
from detforge.deploy.forms.keypoints import averaged
from detforge.deploy.forms.offsets import both_views
from detforge.models.skeletons import COCO_PERSON

CASES = {case["name"]: case for case in load_ops("keypoints")}
MAPS = heatmaps(17, 64, 48, 2.0, 0)[None]
ORDER = np.array(COCO_PERSON.mirrored())
CODECS = {
    "codec_msra": Heatmaps("quarter"),
    "codec_msra_dark": Heatmaps("dark"),
    "codec_megvii": Heatmaps("megvii", scale=255),
    "codec_udp_gaussian": Heatmaps("udp"),
}


def test_largest_pixels() -> None:
    points, scores = Heatmaps("argmax").points({"heatmaps": MAPS}, None, ORDER)
    np.testing.assert_array_equal(points[0], CASES["heatmap_max"]["out"]["loc"])
    np.testing.assert_array_equal(scores[0], CASES["heatmap_max"]["out"]["val"])


@pytest.mark.parametrize(
    ("name", "method", "blur"),
    [
        ("refine", "quarter", 11),
        ("refine_dark_11", "dark", 11),
        ("refine_dark_17", "dark", 17),
        ("refine_dark_udp_11", "udp", 11),
        ("refine_dark_udp_17", "udp", 17),
    ],
)
def test_refinements(name: str, method: HeatmapMethod, blur: int) -> None:
    points, _ = Heatmaps(method, blur).points({"heatmaps": MAPS}, None, ORDER)
    seen = CASES["heatmap_max"]["out"]["val"] > 0
    np.testing.assert_allclose(points[:, seen], CASES[name]["out"]["kpt"][:, seen], rtol=0, atol=1e-4)
    assert points[:, ~seen].tolist() == [[[-1, -1]]]


@pytest.mark.parametrize("name", CODECS)
def test_codecs_of_heatmaps(name: str) -> None:
    rules, out = CODECS[name], CASES[name]["out"]
    given = {"heatmaps": MAPS * np.float32(rules.scale)}
    parts, scores = rules.parts(given, None, COCO_PERSON, (256, 192), rules.method == "udp")
    seen = MAPS.max((2, 3)) > 0
    np.testing.assert_allclose((parts * (192, 256))[seen], out["kpt"][seen], rtol=0, atol=4e-4)
    np.testing.assert_allclose(scores, out["score"], rtol=0, atol=1e-6)


def combined() -> dict[str, NDArray[np.float32]]:
    x, y = (rng(f"ops/off{axis}").normal(0, 0.4, (17, 64, 48)) for axis in "xy")
    return {
        "heatmaps": np.ascontiguousarray(heatmaps(51, 64, 48, 2.0, 3)[None, ::3]),
        "offsets": np.stack((x, y), 1)[None].astype(np.float32),
    }


def test_udp_with_offsets() -> None:
    rules = Offsets(radius=0.0546875 * 64, blur=23)
    parts, scores = rules.parts(combined(), None, COCO_PERSON, (256, 192), True)
    out = CASES["codec_udp_combined"]["out"]
    np.testing.assert_allclose(parts * (192, 256), out["kpt"], rtol=0, atol=4e-4)
    np.testing.assert_allclose(scores, out["score"], rtol=0, atol=1e-6)


@pytest.mark.parametrize(("name", "dark"), [("simcc", None), ("simcc_dark", (37, 37)), ("simcc_rtm", None)])
def test_simcc(name: str, dark: tuple[int, int] | None) -> None:
    case = CASES[f"codec_{name}"]
    parts, scores = Simcc(dark=dark).parts(case["in"], None, COCO_PERSON, (256, 192), False)
    np.testing.assert_allclose(parts * (192, 256), case["out"]["kpt"], rtol=0, atol=1e-4)
    np.testing.assert_array_equal(scores, case["out"]["score"])


def mirrored_alone(case: dict[str, Any], shift: float) -> NDArray[np.float32]:
    """The mean of nothing and of twice the maps is what becomes of a mirrored view."""
    maps = case["in"]["x"]
    return averaged(np.zeros_like(maps), 2 * maps, Mirror(), ORDER, shift)


@pytest.mark.parametrize(("how", "shift"), [("True", 1), ("False", 0)])
def test_mirrored_heatmaps(how: str, shift: float) -> None:
    case = CASES[f"flip_heatmaps_{how}"]
    np.testing.assert_array_equal(mirrored_alone(case, shift), case["out"]["y"])


def test_mirrored_offsets() -> None:
    case = CASES["flip_heatmaps_udp"]
    given, wanted = (a.reshape(1, 17, 3, 16, 12) for a in (2 * case["in"]["x"], case["out"]["y"]))
    mirrored = {"heatmaps": given[:, :, 0], "offsets": given[:, :, 1:]}
    maps, vectors = both_views({name: 0 * a for name, a in mirrored.items()}, mirrored, ORDER)
    np.testing.assert_array_equal(maps, wanted[:, :, 0])
    np.testing.assert_array_equal(vectors, wanted[:, :, 1:])
