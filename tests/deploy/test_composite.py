"""Grouping of keypoints by composite fields: against the authors' numbers, and on hostile fields."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conftest import COLOR_CARD
from golden.crowds import composite_fields, people
from golden.reader import load_ops

from detforge.deploy.card import Card
from detforge.deploy.contract.parse import FieldError
from detforge.deploy.forms import Composite
from detforge.deploy.forms.form import Run
from detforge.deploy.inputs.resize import Pad, Resize
from detforge.models.skeletons import COCO_PERSON
from detforge.models.zoo import find

CASES = {case["name"]: case for case in load_ops("pifpaf")}
CARD = find("pifpaf").card(("person",), COLOR_CARD.provenance)
FORM = Composite(COCO_PERSON.links)


def fields(args: dict[str, Any]) -> dict[str, np.ndarray]:
    poses = people(w=args["W"], h=args["H"], **args["people"])
    keypoints, limbs = composite_fields(poses, args["W"], args["H"], **args["maps"])
    return {"heatmaps": keypoints[:, 1], "places": keypoints[:, 2:], "limbs": limbs[:, 1], "ends": limbs[:, 2:]}


@pytest.mark.parametrize("name", CASES)
def test_people_equal_the_reference(name: str) -> None:
    args, out = CASES[name]["args"], CASES[name]["out"]
    outputs = fields(args)
    expected = out["annotations"]
    found = FORM.group(outputs)
    np.testing.assert_allclose(found[..., 2], expected[..., 0], atol=1e-5)
    seen = expected[..., 0] > 0
    np.testing.assert_allclose(found[seen][:, :2], expected[seen][:, 1:3], atol=1e-3)
    assert not found[~seen].any()
    frame = Resize().whole((args["H"], args["W"]))
    scores = FORM.find([Run(outputs, frame)], CARD).scores
    np.testing.assert_allclose(scores, out["scores"], atol=1e-5)


def test_the_mirrored_image_shows_the_same_people() -> None:
    """Sides are exchanged and positions counted from the other end, on a canvas that is wider than the image."""
    size, place = (240, 300), Resize(pad=Pad(multiple=16))
    frame = place.whole(size)
    truth = people("three", 3, size[1], size[0], size=(0.5, 0.8))
    mirrored = truth[:, COCO_PERSON.mirrored()]
    mirrored[..., 0] = np.where(mirrored[..., 2] > 0, size[1] - 1 - mirrored[..., 0], 0)
    form = replace(FORM, flip=True)
    runs = []
    for is_mirrored, poses in ((False, truth), (True, mirrored)):
        keypoints, limbs = composite_fields(poses, frame.canvas_size[1], frame.canvas_size[0], noise=0.0)
        outputs = {"heatmaps": keypoints[:, 1], "places": keypoints[:, 2:], "limbs": limbs[:, 1], "ends": limbs[:, 2:]}
        runs.append(Run(outputs, frame, is_mirrored))
    seen = truth[..., 2] > 0
    for given in ([runs[0]], [runs[1]], runs):
        found = form.find(given, CARD).keypoints
        assert found.shape == truth.shape
        apart = np.linalg.norm(found[:, None, :, :2] - 0.5 - truth[..., :2], axis=-1)
        closest = np.where(seen, apart, 0).max(-1).argmin(0)
        assert sorted(closest) == [0, 1, 2]
        own = found[closest]
        assert (own[..., 2] > 0).sum() >= seen.sum() - 1
        both = seen & (own[..., 2] > 0)
        assert np.linalg.norm(own[..., :2] - 0.5 - truth[..., :2], axis=-1)[both].max() < 2
    strange = replace(COCO_PERSON, links=(), pairs=((0, 1),))
    with pytest.raises(FieldError, match="links of both sides"):
        replace(CARD, skeleton=strange, form=form)


def test_two_equal_views_are_nearly_one() -> None:
    """Limbs then end at the best cell instead of between the best two."""
    outputs = fields(CASES["decode_three"]["args"])
    one, both = FORM.group(outputs), FORM.group(outputs, outputs)
    assert one.shape == both.shape
    np.testing.assert_allclose(both[..., :2], one[..., :2], atol=2)
    np.testing.assert_allclose(both[..., 2], one[..., 2], atol=0.05)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0, -1.0, np.nan, np.inf, 1e30])
def test_hostile_fields(value: float) -> None:
    form = replace(FORM, top_k=50)
    shapes = {"heatmaps": (17,), "places": (17, 3), "limbs": (19,), "ends": (19, 6)}
    full = {name: np.full((*shape, 9, 12), value, np.float32) for name, shape in shapes.items()}
    assert np.isfinite(form.group(full)).all()
    assert len(form.group(full)) == 0 or 0 < value <= 1
    outputs = fields(CASES["decode_three"]["args"])
    for name, values in outputs.items():
        spoilt = values.copy()
        spoilt[..., 10:20, 10:20] = value
        assert np.isfinite(form.group(outputs | {name: spoilt})).all()


def test_cards_that_do_not_fit_are_refused() -> None:
    assert Card.from_json(CARD.to_json()) == CARD
    with pytest.raises(FieldError, match=r"form\.links"):
        replace(CARD, form=replace(FORM, links=((0, 17),)))
    with pytest.raises(FieldError, match=r"form\.least_seed"):
        replace(FORM, least_seed=0.0)
