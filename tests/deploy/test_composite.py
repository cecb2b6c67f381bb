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
from detforge.deploy.inputs.resize import Resize
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
