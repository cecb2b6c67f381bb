"""Grouping of keypoints by tags: against mmpose's numbers and the definition in NumPy."""

from dataclasses import replace

import numpy as np
import pytest
from golden.reader import load_ops, people_maps
from tag_oracle import group

from detforge.deploy import _native
from detforge.deploy.contract.parse import FieldError
from detforge.deploy.forms import Tags
from detforge.deploy.forms.views import add_maps, spread

People = tuple[np.ndarray, np.ndarray, np.ndarray]

ORDER = (*range(7), 11, 12, 7, 8, 9, 10, 13, 14, 15, 16)
AUTHORS, MMPOSE = Tags(ORDER), Tags(ORDER, rule="mmpose")


@pytest.mark.parametrize("case", load_ops("tags"), ids=lambda case: case["name"])
def test_people_equal_the_reference(case: dict) -> None:
    udp = case["args"].get("use_udp", False)
    heatmaps, tags = people_maps(case["args"]["L"], 96, 128, case["name"].removeprefix("codec_"))
    parts, scores, totals = MMPOSE.group(heatmaps, tags, udp)
    points = parts * (np.array([512, 384]) - udp)
    np.testing.assert_allclose(points, case["out"]["kpt"], atol=1e-4)
    np.testing.assert_allclose(scores, case["out"]["score"], atol=1e-6)
    np.testing.assert_allclose(totals, case["out"]["tag"], atol=1e-6)


def crowd(people: int, views: int, seed: int, size: tuple[int, int] = (40, 56), k: int = 6) -> tuple:
    """People all over each other: tags at random or alike, some keypoints missing."""
    draw = np.random.default_rng(seed)
    heatmaps = draw.uniform(-0.02, 0.09, (k, *size)).astype(np.float32)
    tags = draw.normal(0, 2, (views, k, *size)).astype(np.float32)
    y, x = np.mgrid[: size[0], : size[1]]
    for person in range(people):
        own = draw.normal(0, 3, views) if person % 3 else draw.integers(-3, 3, views)
        for i in range(k):
            if draw.uniform() < 0.2:
                continue
            left, top = draw.uniform(0, size[1]), draw.uniform(0, size[0])
            bump = draw.uniform(0.15, 1) * np.exp(-((x - left) ** 2 + (y - top) ** 2) / 4)
            heatmaps[i] = np.maximum(heatmaps[i], bump)
            near = (np.abs(x - left) < 3) & (np.abs(y - top) < 3)
            tags[:, i, near] = own[:, None] + draw.normal(0, 0.2, (views, near.sum()))
    return heatmaps, tags


def check(found: People, heatmaps: np.ndarray, tags: np.ndarray, spec: Tags, udp: bool) -> None:
    """Equal to the definition, person by person."""
    places, wanted_scores, wanted_totals = group(
        *(heatmaps, tags, spec.order),
        mmpose=spec.rule == "mmpose",
        udp=udp,
        top_k=spec.top_k,
        least_peak=spec.least_peak,
        tag_distance=spec.tag_distance,
    )
    size = np.maximum(np.array(heatmaps.shape[:0:-1]) - udp, 1)
    parts, scores, totals = found
    assert parts.dtype == scores.dtype == totals.dtype == np.float32
    assert parts.shape == places.shape
    np.testing.assert_allclose(parts, places / size, atol=2e-6)
    np.testing.assert_allclose(scores, wanted_scores, atol=2e-6)
    np.testing.assert_allclose(totals, wanted_totals, atol=1e-6)


@pytest.mark.parametrize("udp", [False, True])
@pytest.mark.parametrize("rule", ["higherhrnet", "mmpose"])
@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize("people", [1, 4, 25])
def test_crowds_equal_the_definition(people: int, views: int, rule: str, udp: bool) -> None:
    heatmaps, tags = crowd(people, views, seed=people + views)
    spec = Tags((2, 0, 1, 5, 4, 3), rule=rule)
    check(spec.group(heatmaps, tags, udp), heatmaps, tags, spec, udp)


@pytest.mark.parametrize("change", [{"top_k": 3}, {"least_peak": 0.5}, {"tag_distance": 0.1}, {"tag_distance": 50.0}])
def test_rules_of_the_card_equal_the_definition(change: dict) -> None:
    heatmaps, tags = crowd(12, 1, seed=5)
    spec = replace(Tags(tuple(range(6))), **change)
    check(spec.group(heatmaps, tags, False), heatmaps, tags, spec, False)


@pytest.mark.parametrize("rule", ["higherhrnet", "mmpose"])
def test_equal_tags_are_one_person(rule: str) -> None:
    """Who begins with another's very tag takes over that person, keypoints and all."""
    heatmaps, tags = crowd(10, 2, seed=3)
    tags = np.round(tags)
    spec = Tags(tuple(range(6)), rule=rule)
    found = spec.group(heatmaps, tags, False)
    check(found, heatmaps, tags, spec, False)
    alike = np.zeros_like(tags)
    _, _, totals = spec.group(heatmaps, alike, False)
    assert len(totals) == 1
    check(spec.group(heatmaps, alike, False), heatmaps, alike, spec, False)


def test_flat_maps_are_peaks_all_over() -> None:
    """Equal neighbours are all peaks; `top_k` of them count, and a tie moves a keypoint left and up."""
    heatmaps, tags = np.full((2, 21, 27), 0.5, np.float32), np.zeros((1, 2, 21, 27), np.float32)
    tags[0] = np.arange(21 * 27).reshape(21, 27) * 5
    spec = Tags((0, 1), top_k=4)
    found = spec.group(heatmaps, tags, False)
    check(found, heatmaps, tags, spec, False)
    parts, _, _ = found
    np.testing.assert_allclose(parts * (27, 21) % 1, 0.25, atol=1e-5)
    assert len(parts) == 4
    check(MMPOSE_TWO.group(heatmaps, tags, False), heatmaps, tags, MMPOSE_TWO, False)


MMPOSE_TWO = Tags((1, 0), top_k=5, rule="mmpose")


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (5, 1), (2, 2), (3, 70)])
@pytest.mark.parametrize("udp", [False, True])
def test_maps_of_few_pixels(size: tuple[int, int], udp: bool) -> None:
    draw = np.random.default_rng(7)
    heatmaps = draw.uniform(0, 1, (3, *size)).astype(np.float32)
    tags = draw.normal(0, 1, (2, 3, *size)).astype(np.float32)
    for rule in ("higherhrnet", "mmpose"):
        found = Tags((0, 1, 2), rule=rule).group(heatmaps, tags, udp)
        assert np.isfinite(found[0]).all()
        if min(size) > 1 or not udp:  # NumPy cannot mirror a row of one pixel
            check(found, heatmaps, tags, Tags((0, 1, 2), rule=rule), udp)


def test_nobody() -> None:
    for value in (0.0, -1.0, 0.1, np.nan, np.inf):
        parts, scores, totals = AUTHORS.group(
            np.full((17, 8, 8), value, np.float32), np.zeros((1, 17, 8, 8), np.float32), False
        )
        assert parts.shape == (0, 17, 2)
        assert scores.shape == (0, 17)
        assert totals.shape == (0,)


@pytest.mark.parametrize("rule", ["higherhrnet", "mmpose"])
def test_what_is_no_number_is_nobodys(rule: str) -> None:
    heatmaps, tags = crowd(8, 1, seed=11)
    draw = np.random.default_rng(0)
    for array, share in ((heatmaps, 0.02), (tags, 0.05)):
        array[draw.uniform(size=array.shape) < share] = np.nan
        array[draw.uniform(size=array.shape) < share / 4] = np.inf
        array[draw.uniform(size=array.shape) < share / 4] = -np.inf
    spec = Tags(tuple(range(6)), rule=rule)
    with np.errstate(invalid="ignore"):
        check(spec.group(heatmaps, tags, False), heatmaps, tags, spec, False)
    for udp in (False, True):
        assert all(np.isfinite(values).all() for values in spec.group(heatmaps, tags, udp))


def test_nothing_is_found_where_no_tag_is_a_number() -> None:
    """The only keypoint of a person stays alone when the other's map has tags that are no numbers."""
    heatmaps, tags = np.zeros((2, 9, 9), np.float32), np.zeros((1, 2, 9, 9), np.float32)
    heatmaps[:, 4, 4] = 0.5
    tags[0, 1] = np.nan
    for spec in (Tags((0, 1)), MMPOSE_TWO):
        parts, scores, _ = spec.group(heatmaps, tags, False)
        assert scores.tolist() == [[0.5, 0]]
        assert parts[0, 1].tolist() == [0, 0]


def test_shapes_that_do_not_fit_are_refused() -> None:
    maps = np.zeros((3, 4, 5), np.float32)
    for tags in (np.zeros((1, 2, 4, 5), np.float32), np.zeros((1, 3, 5, 4), np.float32)):
        with pytest.raises(ValueError, match="differ in shape"):
            Tags((0, 1, 2)).group(maps, tags, False)
    with pytest.raises(ValueError, match="no peaks"):
        _native.group(np.ones((2, 3, 3), "f"), np.ones((1, 2, 3, 3), "f"), np.arange(2), 0, 0.1, 1.0, False, False)
    with pytest.raises(ValueError, match="not one place for each map"):
        Tags((0, 1)).group(maps, np.zeros((1, 3, 4, 5), np.float32), False)
    with pytest.raises(FieldError, match=r"form\.order"):
        Tags((0, 2))


def stretch(row: np.ndarray, count: int, aligned: bool) -> np.ndarray:
    """Linear interpolation of the last axis at `count` places."""
    n = row.shape[-1]
    places = np.arange(count) * ((n - 1) / max(1, count - 1)) if aligned else (np.arange(count) + 0.5) * n / count - 0.5
    places = np.clip(places, 0, n - 1)
    first = np.minimum(places.astype(int), n - 1)
    second = np.minimum(first + 1, n - 1)
    return row[..., first] + (row[..., second] - row[..., first]) * (places - first)


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize(
    "sizes", [((6, 9), (24, 36)), ((7, 5), (7, 5)), ((8, 12), (5, 7)), ((1, 1), (3, 4)), ((3, 4), (1, 1))]
)
def test_maps_are_added_at_one_size(sizes: tuple, mirrored: bool, aligned: bool) -> None:
    draw = np.random.default_rng(2)
    source, target = (draw.normal(0, 1, (3, *size)).astype(np.float32) for size in sizes)
    order = np.array([2, 0, 1])
    turned = source[order, :, :: -1 if mirrored else 1].astype(np.float64)
    wide = stretch(turned, sizes[1][1], aligned)
    signs = np.array([1, -1, 1])[:, None, None]
    expected = target + signs * stretch(wide.swapaxes(1, 2), sizes[1][0], aligned).swapaxes(1, 2)
    rows, columns = (spread(sizes[0][axis], sizes[1][axis], aligned, mirrored and axis == 1) for axis in (0, 1))
    add_maps(source, target, order, [1.0, -1.0, 1.0], rows, columns)
    np.testing.assert_allclose(target, expected, atol=1e-6)
