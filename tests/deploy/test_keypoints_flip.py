"""Both views of a crop together, and places as parts of the crop."""

from dataclasses import replace

import numpy as np
import pytest

from detforge.deploy.card import Provenance
from detforge.deploy.contract.parse import FieldError
from detforge.deploy.contract.port import Arrays
from detforge.deploy.contract.skeleton import Skeleton
from detforge.deploy.forms import Heatmaps, Offsets, Simcc, Votes
from detforge.deploy.forms.form import Mirror
from detforge.deploy.forms.keypoints import KeypointForm, averaged
from detforge.deploy.inputs.crop import Crop
from detforge.deploy.system.errors import IncompatibleError
from detforge.models.zoo import find

HAND = Skeleton(("thumb", "left", "right"), (), ((1, 2),), (1.0, 1.0, 1.0))
CANVAS = (64, 48)
PLACES = np.array([[5.3, 9.1], [8.6, 12.2], [3.4, 2.6]])
"""xy px of maps of 16x12."""


def see(form: KeypointForm, places: np.ndarray) -> Arrays:
    """What a perfect network gives of these places: sigma 2 px, discs of 3 px, or bins of half a px of the crop."""
    y, x = np.mgrid[:16, :12]
    if isinstance(form, Simcc):
        axes = {"x": (96, places[:, 0]), "y": (128, places[:, 1])}
        return {
            name: np.exp(-((np.arange(bins) - 8 * at[:, None]) ** 2) / 50)[None].astype(np.float32)
            for name, (bins, at) in axes.items()
        }
    vectors = places[:, :, None, None] - np.stack((x, y))
    distance = np.hypot(vectors[:, 0], vectors[:, 1])
    maps = np.exp(-(distance**2) / 8).astype(np.float32)[None]
    if isinstance(form, Heatmaps):
        return {"heatmaps": 10 * maps if form.method == "integral" else maps}
    unit = form.radius if isinstance(form, Offsets) else 1
    return {"heatmaps": maps * (distance <= 3), "offsets": (vectors / unit).astype(np.float32)[None]}


FORMS = [
    Heatmaps("dark", blur=1),
    Heatmaps("integral"),
    Offsets(radius=3, blur=1),
    Votes(radius=3),
    Simcc(split=2, dark=(3, 3)),
]
SUB_PIXEL = [FORMS[0], FORMS[2], FORMS[4]]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.kind)
@pytest.mark.parametrize("spacing", [False, True])
def test_views_of_one_scene_agree(form: KeypointForm, spacing: bool) -> None:
    """A perfect network's mirrored view changes nothing once it is mirrored back."""
    last = 95 / 8 if form.kind == "simcc" else 11
    mirrored = see(form, np.array([last, 0]) + np.array([-1, 1]) * PLACES[HAND.mirrored()])
    one, scores = form.parts(see(form, PLACES), None, HAND, CANVAS, spacing)
    both, both_scores = form.parts(see(form, PLACES), mirrored, HAND, CANVAS, spacing)
    np.testing.assert_allclose(both, one, rtol=0, atol=1e-5)
    np.testing.assert_allclose(both_scores, scores, rtol=1e-5)
    if form in SUB_PIXEL:
        stride = 4 if form.kind == "simcc" else 1
        true = stride * PLACES / (stride * np.array([12, 16]) - spacing)
        np.testing.assert_allclose(both[0], true, rtol=0, atol=2e-3)


@pytest.mark.parametrize("shift", [0.0, 0.75, 1.0])
def test_shift_is_linear_and_the_first_column_stays(shift: float) -> None:
    rng = np.random.default_rng(0)
    plain, mirrored = (rng.standard_normal((2, 3, 5, 7)).astype(np.float32) for _ in range(2))
    back = mirrored[:, HAND.mirrored(), :, ::-1].astype(np.float64)
    moved = back.copy()
    moved[..., 1:] = (1 - shift) * back[..., 1:] + shift * back[..., :-1]
    found = averaged(plain, mirrored, Mirror(), np.array(HAND.mirrored()), shift)
    np.testing.assert_allclose(found, (plain + moved) / 2, rtol=0, atol=1e-6)


def test_shift_of_coordinates_is_that_of_mmpose() -> None:
    """mmpose mirrors x of 0..1 to 1 - x - 1 / (width of the crop), which is 0.75 px more than W - 1 - x at stride 4."""
    form = Heatmaps("integral", shift=0.75)
    plain, other = see(form, PLACES), see(form, 0.7 * PLACES)
    x, y = (form.parts(seen, None, HAND, CANVAS, False)[0] for seen in (plain, other))
    y = y[:, HAND.mirrored()]
    y[..., 0] = 1 - y[..., 0] - 1 / 48
    both, scores = form.parts(plain, other, HAND, CANVAS, False)
    np.testing.assert_allclose(both, (x + y) / 2, rtol=0, atol=1e-6)
    assert (scores == 1).all()


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.kind)
def test_any_number_of_people(form: KeypointForm) -> None:
    one = see(form, PLACES)
    single, single_scores = form.parts(one, one, HAND, CANVAS, False)
    for count in (0, 3):
        many = {name: np.repeat(values, count, 0) for name, values in one.items()}
        points, scores = form.parts(many, many, HAND, CANVAS, False)
        assert points.dtype == scores.dtype == np.float32
        np.testing.assert_array_equal(points, np.repeat(single, count, 0))
        np.testing.assert_array_equal(scores, np.repeat(single_scores, count, 0))


def test_an_empty_map_lies_outside() -> None:
    nothing = {"heatmaps": np.zeros((1, 3, 16, 12), np.float32)}
    points, scores = Heatmaps().parts(nothing, nothing, HAND, CANVAS, False)
    np.testing.assert_allclose(points, np.broadcast_to([-1 / 12, -1 / 16], (1, 3, 2)))
    assert (scores == 0).all()


def test_a_single_pixel_has_no_spacing() -> None:
    single = {"heatmaps": np.ones((1, 3, 1, 1), np.float32)}
    points, _ = Heatmaps("argmax").parts(single, None, HAND, CANVAS, True)
    assert (points == 0).all()


@pytest.mark.parametrize(("crop", "own"), [(False, None), (True, None), (False, True), (True, False)])
def test_the_codec_may_measure_otherwise_than_the_crop(crop: bool, own: bool | None) -> None:
    """Pixel (11, 5) of maps of 16x12 is the last column: the end of the box where lengths are between pixels."""
    maps = np.zeros((1, 3, 16, 12), np.float32)
    maps[:, :, 5, 11] = 1
    box = Crop((64, 48), spacing=crop).of_box(np.array([100, 200, 190, 320]), (400, 400))
    form = Heatmaps("argmax", flip=False, spacing=own)
    variant = find("hrnet_w32")
    card = replace(variant.card(("hand",), Provenance("", None, "fp32", {}), HAND), form=form)
    [keypoints] = form.read({"heatmaps": maps}, None, [box], card).columns
    steps = np.array([11, 15] if (crop if own is None else own) else [12, 16])
    np.testing.assert_allclose(
        keypoints.values[0, 0, :2], [100, 200] + np.array([11, 5]) / steps * [90, 120], rtol=1e-6
    )


def test_some_keypoints_are_reported() -> None:
    """All are mirrored, also those whose partner is not reported."""
    skeleton = replace(HAND, links=((0, 1), (1, 2), (0, 2)), colors=((1, 1, 1), (2, 2, 2), (3, 3, 3)))
    skeleton = replace(skeleton, link_colors=((1, 0, 0), (0, 1, 0), (0, 0, 1)))
    every = Heatmaps("dark", blur=1, least_score=None)
    form = replace(every, reports=(2, 0))
    card = replace(find("hrnet_w32").card(("hand",), Provenance("", None, "fp32", {}), skeleton), form=form)
    box = Crop(CANVAS).of_box(np.array([0, 0, 48, 64]), CANVAS)
    mirrored = see(form, np.array([11, 0]) + np.array([-1, 1]) * PLACES[HAND.mirrored()])
    seen = see(form, PLACES), mirrored, [box], card
    [some], [whole] = form.read(*seen).columns, every.read(*seen).columns
    np.testing.assert_array_equal(some.values, whole.values[:, [2, 0]])
    np.testing.assert_allclose(form.read(*seen).quality, some.values[..., 2].mean(1))
    assert (
        some.skeleton
        == card.reported_skeleton
        == Skeleton(("right", "thumb"), ((1, 0),), (), (1.0, 1.0), ((3, 3, 3), (1, 1, 1)), ((0, 0, 1),))
    )
    assert form.nothing(card)[0].values.shape == (0, 2, 3)
    with pytest.raises(FieldError, match="reports"):
        replace(card, form=replace(form, reports=(3,)))


def test_outputs_of_another_skeleton_are_refused() -> None:
    other = replace(HAND, keypoints=("thumb", "left", "right", "wrist"), sigmas=(1.0,) * 4)
    with pytest.raises(IncompatibleError, match=r"3 heatmaps.*4 keypoints"):
        Heatmaps().parts(see(Heatmaps(), PLACES), None, other, CANVAS, False)
