"""OKS and suppression of poses against mmpose and a naive float64 oracle."""

from math import exp, isfinite

import numpy as np
import pytest
from golden.reader import load_ops

from detforge.deploy import _native
from detforge.deploy.columns import Keypoints
from detforge.deploy.contract.skeleton import Skeleton
from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.results.instances import Instances
from detforge.deploy.suppress import suppress
from detforge.deploy.suppress.poses import oks
from detforge.models.skeletons import COCO_PERSON

SIGMAS = COCO_PERSON.sigmas
CASES = {case["name"]: case for case in load_ops("oks")}
KINDS = ("oks", "oks_linear", "oks_gaussian", "none")


def staying(keypoints, scores, areas, spec) -> tuple[np.ndarray, np.ndarray]:
    """The indices of the poses that stay, best first, and their final scores."""
    names = tuple(f"keypoint {i}" for i in range(keypoints.shape[1]))
    column = Keypoints(keypoints, Skeleton(names, (), (), SIGMAS), areas)
    boxes, indices = np.zeros((len(keypoints), 4), np.float32), np.arange(len(keypoints))
    found = Instances(boxes, scores, indices, ("person",), (640, 480), columns={"keypoints": column})
    kept = suppress(found, spec, "poses")
    return kept.labels, kept.scores


def staying_among_visible(keypoints, scores, areas, spec, visible) -> tuple[np.ndarray, np.ndarray]:
    """The same where only keypoints with a better score are compared, which the kernels can do and no Card asks for."""
    given, limits = (keypoints, scores, areas.astype(np.float64), np.array(SIGMAS), visible), (spec.conf, spec.max_det)
    if spec.kind in ("oks_linear", "oks_gaussian"):
        sigma = spec.sigma if spec.kind == "oks_gaussian" else None
        return _native.soft_oks_nms(*given, spec.oks, sigma, *limits)
    kept = _native.oks_nms(*given, spec.oks if spec.kind == "oks" else 2.0, *limits)
    return kept, scores[kept]


def test_the_similarity_equals_mmpose() -> None:
    given = CASES["oks_iou"]["in"]
    alike = oks(given["keypoints"], given["area"], SIGMAS)
    np.testing.assert_allclose(alike[0, 1:], CASES["oks_iou"]["out"]["y"], rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in CASES if "nms" in name])
def test_what_stays_equals_mmpose(name: str) -> None:
    given, options = CASES[name]["in"], CASES[name]["args"]
    if "max_dets" in options:
        spec = Suppress("oks_gaussian", conf=0.0, sigma=options["thr"], max_det=options["max_dets"])
    else:
        spec = Suppress("oks", conf=0.0, oks=options["thr"])
    poses = given["keypoints"], given["score"], given["area"], spec
    visible = options["vis_thr"]
    kept, _ = staying(*poses) if visible is None else staying_among_visible(*poses, visible)
    np.testing.assert_array_equal(kept, CASES[name]["out"]["keep"])


def crowd(n: int, people: int, k: int = 17) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keypoints (n, k, 3) of `people` seen several times each, scores without ties, areas."""
    draw = np.random.default_rng(n)
    places = draw.uniform(0, 400, (people, k, 2))[draw.integers(0, people, n)] + draw.normal(0, 4, (n, k, 2))
    keypoints = np.concatenate((places, draw.uniform(0, 1, (n, k, 1))), 2).astype(np.float32)
    scores = (draw.permutation(n) + 0.5) / max(n, 1)
    return keypoints, scores.astype(np.float32), draw.uniform(5e3, 2e4, n)


def similarity(one, two, area_one, area_two, sigmas, visible=None) -> float:
    """OKS of two poses; a keypoint without a place is like none."""
    terms = []
    for (x1, y1, s1), (x2, y2, s2), sigma in zip(one.tolist(), two.tolist(), sigmas, strict=True):
        if visible is not None and not (s1 > visible and s2 > visible):
            continue
        exponent = ((x1 - x2) ** 2 + (y1 - y2) ** 2) / (2 * (2 * sigma) ** 2 * ((area_one + area_two) / 2 + 2**-52))
        terms.append(exp(-exponent) if isfinite(exponent) and exponent < 700 else 0.0)
    return sum(terms) / len(terms) if terms else 0.0


def suppressed(keypoints, scores, areas, sigmas, spec, visible=None) -> list[tuple[int, float]]:
    """Indices and final scores, best first, every pair of poses compared."""
    left = {i: float(score) for i, score in enumerate(scores) if score > spec.conf}
    kept = []
    while left and len(kept) < spec.max_det:
        best = max(left, key=lambda i: (left[i], -i))
        kept.append((best, left.pop(best)))
        for i in list(left):
            alike = similarity(keypoints[best], keypoints[i], areas[best], areas[i], sigmas, visible)
            if spec.kind == "oks" and alike > spec.oks:
                left[i] = 0.0
            elif spec.kind == "oks_linear" and alike >= spec.oks:
                left[i] *= 1 - alike
            elif spec.kind == "oks_gaussian":
                left[i] *= exp(-(alike**2) / spec.sigma)
        left = {i: score for i, score in left.items() if score > spec.conf}
    return kept


@pytest.mark.parametrize("visible", [None, 0.3])
@pytest.mark.parametrize("k", [1, 17, 21])
def test_the_similarity_equals_the_oracle(k: int, visible: float | None) -> None:
    keypoints, _, areas = crowd(12, 4, k)
    sigmas = np.random.default_rng(k).uniform(0.02, 0.12, k).tolist()
    alike = oks(keypoints, areas, sigmas, visible)
    for i, j in np.ndindex(alike.shape):
        expected = similarity(keypoints[i], keypoints[j], areas[i], areas[j], sigmas, visible)
        assert alike[i, j] == pytest.approx(expected, rel=1e-9, abs=1e-20)
    assert np.array_equal(alike, alike.T)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("visible", [None, 0.3])
@pytest.mark.parametrize(("n", "people"), [(0, 1), (1, 1), (2, 1), (24, 6), (15, 1)])
@pytest.mark.parametrize("limits", [{}, {"conf": 0.4, "max_det": 5}, {"oks": 0.5, "sigma": 0.2}, {"oks": 0.05}])
def test_equals_the_oracle(kind: str, visible: float | None, n: int, people: int, limits: dict) -> None:
    keypoints, scores, areas = crowd(n, people)
    spec = Suppress(kind, **{"conf": 1e-4, "sigma": 0.9, **limits})
    poses = keypoints, scores, areas, spec
    kept, final = staying(*poses) if visible is None else staying_among_visible(*poses, visible)
    expected = suppressed(keypoints, scores, areas, SIGMAS, spec, visible)
    assert kept.tolist() == [i for i, _ in expected]
    np.testing.assert_allclose(final, [score for _, score in expected], rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_equal_scores_keep_their_order(kind: str) -> None:
    keypoints, _, areas = crowd(4, 4)
    keypoints[:, :, :2] += 1e4 * np.arange(4)[:, None, None]
    scores = np.array([0.5, 0.7, 0.5, 0.5], np.float32)
    kept, final = staying(keypoints, scores, areas, Suppress(kind))
    assert kept.tolist() == [1, 0, 2, 3]
    assert final.tolist() == pytest.approx([0.7, 0.5, 0.5, 0.5])


def test_a_copy_goes_or_is_lowered() -> None:
    keypoints = np.repeat(crowd(1, 1)[0], 3, 0)
    scores, areas = np.array([0.7, 0.9, 0.8], np.float32), np.full(3, 1e4)

    def final(kind: str, **options: float) -> list[float]:
        return staying(keypoints, scores, areas, Suppress(kind, **{"conf": 0.0, **options}))[1].tolist()

    assert final("oks") == pytest.approx([0.9])
    assert final("oks", oks=1.0) == pytest.approx([0.9, 0.8, 0.7])
    assert final("oks_linear") == pytest.approx([0.9])
    # The last one meets two that are better.
    lowered = [0.9, 0.8 * exp(-1 / 0.5), 0.7 * exp(-2 / 0.5)]
    assert final("oks_gaussian") == pytest.approx(lowered)
    assert final("oks_gaussian", conf=0.1) == pytest.approx(lowered[:2])
    assert final("none", max_det=2) == pytest.approx([0.9, 0.8])


def test_people_without_an_area_are_alike_only_where_they_coincide() -> None:
    keypoints = crowd(3, 1)[0]
    keypoints[2] = keypoints[0]
    alike = oks(keypoints, np.zeros(3), SIGMAS)
    np.testing.assert_array_equal(alike, [[1, 0, 1], [0, 1, 0], [1, 0, 1]])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_undefined_keypoints_are_like_none(value: float) -> None:
    keypoints = np.repeat(crowd(1, 1)[0], 2, 0)
    keypoints[1, :5, 0] = value
    alike = oks(keypoints, np.full(2, 1e4), SIGMAS)
    np.testing.assert_allclose(alike, [[1, 12 / 17], [12 / 17, 12 / 17]])


@pytest.mark.parametrize("kind", KINDS)
def test_undefined_scores_and_areas_do_no_harm(kind: str) -> None:
    keypoints, _, areas = crowd(5, 1)
    scores = np.array([0.5, np.nan, 0.9, -np.inf, 0.6], np.float32)
    areas[:3] = np.nan, np.inf, -1.0
    kept, final = staying(keypoints, scores, areas, Suppress(kind, conf=0.0))
    assert set(kept.tolist()) <= {0, 2, 4}
    assert np.isfinite(final).all()


def test_keypoints_may_be_views_of_any_type() -> None:
    keypoints, scores, areas = crowd(20, 4)
    expected = staying(keypoints, scores, areas, Suppress("oks", conf=0.0))[0]
    view = np.stack((keypoints, keypoints), -1).astype(np.float64)[..., 0]
    found = staying(view, scores, areas.astype(np.float32), Suppress("oks", conf=0.0))[0]
    np.testing.assert_array_equal(found, expected)


def test_lengths_must_agree() -> None:
    keypoints, scores, areas = crowd(3, 1)
    sigmas = np.array(SIGMAS)
    with pytest.raises(ValueError, match="areas differ in length"):
        oks(keypoints, areas[:2], SIGMAS)
    with pytest.raises(ValueError, match="a sigma too many"):
        oks(keypoints[:, :16], areas, SIGMAS)
    with pytest.raises(ValueError, match="scores differ in length"):
        staying(keypoints, scores[:2], areas, Suppress("oks"))
    with pytest.raises(ValueError, match="not a row and a column"):
        _native.oks(keypoints, areas, sigmas, None, np.empty((3, 2)))
