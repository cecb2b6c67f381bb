"""Corners of generated symbols: their names, their labels and their crops against places known by construction."""

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from detforge.deploy.contract.choices import HeatmapMethod
from detforge.deploy.forms import Heatmaps
from detforge.deploy.inputs.crop import Crop
from detforge.models.checkpoint import load_variant, read_checkpoint
from detforge.models.zoo import find
from detforge.train.fit import fit
from detforge.train.labels.heatmaps import unbiased_maps
from detforge.train.markers import __main__ as training
from detforge.train.markers.corners import Marker, batches, cut, draw_markers, labelled, named
from detforge.train.markers.scene import compose
from detforge.train.pose import heatmap_losses

CORNERS = find("corners_markers")
SPEC = CORNERS.input
PLACE = SPEC.place
assert isinstance(PLACE, Crop)
FINE = 16  # the quadrilateral is drawn so many times larger and then averaged


def quadrilateral(rng: np.random.Generator, height: int = 150, width: int = 190) -> Marker:
    """A light quadrilateral on dark ground, whose every pixel is its share of the area."""
    angles = np.sort(rng.uniform(-0.3, 0.3, 4) + np.arange(4) * math.pi / 2 + rng.uniform(0, math.pi))
    outline = (width / 2, height / 2) + rng.uniform(35, 60, (4, 1)) * np.stack([np.cos(angles), np.sin(angles)], 1)
    large = np.zeros((height * FINE, width * FINE), np.uint8)
    # OpenCV fills between the centres of pixels, in 1/256 of them.
    cv2.fillPoly(large, [np.rint((outline * FINE - 0.5) * 256).astype(np.int32)], 255, shift=8)
    image = np.rint(large.reshape(height, FINE, width, FINE).mean((1, 3))).astype(np.uint8)
    box = np.concatenate((outline.min(0), outline.max(0))).astype(np.float32)
    return Marker(np.dstack([image] * 3), box, (outline - 0.5).astype(np.float32), np.ones(4, bool))


def centroid(outline: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the area within a polygon (k, 2)."""
    x, y = outline.T
    ahead_x, ahead_y = np.roll(x, -1), np.roll(y, -1)
    cross = x * ahead_y - ahead_x * y
    return np.array([((x + ahead_x) * cross).sum(), ((y + ahead_y) * cross).sum()]) / (3 * cross.sum())


def test_corners_lie_where_the_pixels_of_a_crop_show_them() -> None:
    """The light's centre of mass in the crop is that of the outline; half a pixel of the image were 1 px here."""
    rng = np.random.default_rng(0)
    markers = [quadrilateral(rng) for _ in range(12)]
    images, parts = cut(markers, [one.box for one in markers], SPEC, 256)
    light = images[:, 0].astype(np.float64) - images[:, 0].min()
    steps = np.arange(256)
    found = np.stack([(light.sum(1) * steps).sum(1), (light.sum(2) * steps).sum(1)], 1) / light.sum((1, 2))[:, None]
    expected = [centroid(own.astype(np.float64) * 255) for own in parts]
    assert np.abs(found - expected).max() < 0.1


@pytest.mark.parametrize(
    ("method", "worst"), [("dark", 1e-3), ("udp", 1e-3), ("gaussfit", 1e-3), ("parabola", 0.05), ("quarter", 0.36)]
)
def test_perfect_maps_give_back_the_corners(method: HeatmapMethod, worst: float) -> None:
    """From corners of the image over labels, decoder and crop back to them; the error is in px of the maps."""
    rng = np.random.default_rng(1)
    markers = [quadrilateral(rng) for _ in range(12)]
    images, parts = cut(markers, [one.box for one in markers], SPEC, 256)
    _, corners, weights, _ = labelled(images, parts, np.ones((12, 4), bool))
    assert (weights == 1).all()
    maps = {"heatmaps": unbiased_maps(corners, (64, 64)).numpy()}
    assert CORNERS.skeleton is not None
    form = Heatmaps(method, blur=1, flip=False)
    found, scores = form.parts(maps, None, CORNERS.skeleton, (256, 256), PLACE.spacing)
    assert scores == pytest.approx(1, abs=0.07)  # at the pixel next to it
    for one, own in zip(markers, found, strict=True):
        crop = PLACE.of_box(one.box, one.image.shape[:2])
        order, _ = named(one.corners)
        off = np.abs(crop.to_image(own) - one.corners[order]) * 63 / crop.size[0]
        assert off.max() < worst


def test_names_go_by_place_whatever_the_order() -> None:
    """The least sum of squared distances, over all orders that go around, found by trying them one by one."""
    rng = np.random.default_rng(2)
    for _ in range(200):
        corners = quadrilateral(rng, 20, 30).corners[:: rng.choice([-1, 1])]
        low, high = corners.min(0), corners.max(0)
        places = [(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])]
        costs = {}
        for order in itertools.permutations(range(4)):
            x, y = corners[list(order)].T
            if (x * np.roll(y, -1) - y * np.roll(x, -1)).sum() > 0 and abs(order[0] - order[2]) == 2:
                costs[order] = sum(math.dist(corners[i], place) ** 2 for i, place in zip(order, places, strict=True))
        assert len(costs) == 4
        order, tie = named(corners)
        best, second = sorted(costs, key=lambda order: costs[order])[:2]
        assert tuple(order) == best
        if tie:
            assert tuple(np.roll(order, -tie)) == second
        assert bool(tie) == (costs[best] > 0.6 * costs[second])


def test_a_mirrored_crop_has_its_corners_in_the_mirrored_places() -> None:
    rng = np.random.default_rng(3)
    assert CORNERS.skeleton is not None
    for _ in range(50):
        corners = quadrilateral(rng).corners
        mirrored = corners * np.float32([-1, 1])
        (order, tie), (other, _) = named(corners), named(mirrored)
        assert tie or (other[CORNERS.skeleton.mirrored()] == order).all()


def test_batches_turn_corners_with_their_pixels() -> None:
    """A bright spot of its own colour at each corner is where the label says, whatever the turn, mirror and scale."""
    image = np.zeros((120, 160, 3), np.uint8)
    corners = np.float32([(40, 30), (110, 30), (110, 90), (40, 90)])
    for x, y in corners:
        cv2.circle(image, (int(x), int(y)), 6, (255, 255, 255), -1)
    marker = Marker(image, np.float32([40, 30, 111, 91]), corners, np.array([True, True, True, False]))
    stream = batches([marker] * 4, SPEC, 4, (256, 128), seed=0)
    reach, found = 16, 0
    for _ in range(6):
        images, places, weights, _ = next(stream)
        steps = (images.shape[-1] - 1) / (images.shape[-1] // 4 - 1)
        assert weights.sum(1).tolist() == [3] * 4
        for pixels, own in zip(images, places, strict=True):
            light = (pixels - pixels.min()).sum(0).numpy()
            for x, y in np.rint(own.numpy() * steps).astype(int):
                if min(x, y) >= reach and max(x, y) < len(light) - reach:
                    window = light[y - reach : y + reach + 1, x - reach : x + reach + 1]
                    rows, cols = np.nonzero(window > 0.5 * window.max())
                    assert (cols.mean() - reach, rows.mean() - reach) == pytest.approx((0, 0), abs=1.0)
                    found += 1
    assert found > 40


@pytest.mark.slow
def test_scenes_say_where_opencv_finds_corners() -> None:
    """Its sub-pixel corners count from the first pixel's centre, the scene's from the first pixel's corner."""
    off: list[NDArray[np.float32]] = []
    dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36h11)
    parameters = cv2.aruco.DetectorParameters()
    parameters.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
    detector = cv2.aruco.ArucoDetector(dictionary, parameters)
    for i in range(30):
        scene = compose(np.random.default_rng((7, i)), 624)
        for found in detector.detectMarkers(scene.image)[0]:
            gaps = found[0][:, None] - scene.corners.reshape(1, -1, 2)
            nearest = np.hypot(*np.moveaxis(gaps, -1, 0)).argmin(1)
            off += list(gaps[np.arange(4), nearest])
    assert len(off) >= 8
    assert np.median(off, axis=0) == pytest.approx((-0.5, -0.5), abs=0.15)


@pytest.mark.slow
def test_hidden_corners_are_not_seen() -> None:
    scenes = [compose(np.random.default_rng((8, i))) for i in range(40)]
    corners, seen = np.concatenate([s.corners for s in scenes]), np.concatenate([s.seen for s in scenes])
    inside = ((corners >= 0) & (corners < 416)).all(-1)
    assert not seen[~inside].any()
    assert 0.8 < seen[inside].mean() < 1


@pytest.mark.slow
def test_drawn_markers_are_read_back(tmp_path: Path) -> None:
    drawn = draw_markers(tmp_path, 8, seed=1)
    again = draw_markers(tmp_path, 8, seed=1)
    assert len(drawn) == len(again) > 4
    assert all((a.image == b.image).all() and (a.corners == b.corners).all() for a, b in zip(drawn, again, strict=True))
    assert all(max(one.image.shape) <= 480 for one in drawn)


def test_the_loss_is_the_formula() -> None:
    """In float64, keypoint by keypoint; of two orders that fit about equally well the better one counts."""
    rng = np.random.default_rng(4)
    maps, centres = rng.standard_normal((3, 4, 9, 11)), rng.uniform(0, 10, (3, 4, 2))
    weights, ties = rng.integers(0, 2, (3, 4)).astype(float), np.array([0, 1, 3])

    def error(image: int, turn: int) -> float:
        total = 0.0
        for k, y, x in itertools.product(range(4), range(9), range(11)):
            own = (k + turn) % 4
            squared = (x - centres[image, own, 0]) ** 2 + (y - centres[image, own, 1]) ** 2
            total += weights[image, own] * (maps[image, k, y, x] - math.exp(-squared / 8)) ** 2
        return total / (4 * math.pi)

    expected = sum(min(error(i, 0), error(i, int(ties[i]))) for i in range(3)) / weights.sum()
    network: Callable[..., dict[str, torch.Tensor]] = lambda _: {"heatmaps": torch.from_numpy(maps)}  # noqa: E731
    arrays = (torch.from_numpy(each) for each in (centres, weights, ties))
    found = heatmap_losses(network, torch.zeros(()), *arrays)["heatmaps"]
    assert found.item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.slow
def test_a_network_learns_one_batch() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(5)
    markers = [quadrilateral(rng) for _ in range(4)]
    images, parts = cut(markers, [one.box for one in markers], SPEC, 64)
    batch = labelled(images, parts, np.ones((4, 4), bool))
    model = find("simplebaseline_test").build(4)
    trained = fit(model, itertools.repeat(batch), heatmap_losses, steps=100, rate=5e-3)
    assert heatmap_losses(trained, *batch)["heatmaps"] < 0.5  # empty maps have 1


def test_the_training_command_writes_weights_that_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With one step on small crops."""
    markers = [quadrilateral(np.random.default_rng(6))] * training.CORNERS_BATCH
    monkeypatch.setattr(training.corners, "draw_markers", lambda *_: markers)
    monkeypatch.setattr(training, "CORNERS_SIDES", (64,))
    monkeypatch.setattr(training, "fit", lambda *given, steps, **options: fit(*given, steps=1, **options))
    monkeypatch.setattr(
        "sys.argv", ["train", "--model", "corners_markers", "-o", str(tmp_path / "weights.safetensors")]
    )
    training.main()
    assert capsys.readouterr().out.startswith("wrote ")
    load_variant(CORNERS, read_checkpoint(tmp_path / "weights.safetensors"))
