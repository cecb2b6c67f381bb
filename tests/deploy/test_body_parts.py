"""Grouping of keypoints by maps of body parts: against the authors' numbers, and on hostile maps."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conftest import COLOR_CARD
from golden.crowds import PARTS, part_maps, people, with_neck
from golden.reader import load_ops

from detforge.deploy.card import Card
from detforge.deploy.contract.parse import FieldError
from detforge.deploy.forms import BodyParts
from detforge.deploy.forms.form import Run
from detforge.deploy.inputs.resize import Pad, Resize
from detforge.models.skeletons import COCO_PERSON
from detforge.models.zoo import find

CASES = {case["name"]: case for case in load_ops("simplepose")}
CARD = find("simplepose").card(("person",), COLOR_CARD.provenance)
FORM = BodyParts(PARTS, keypoints=CARD.form.keypoints)
PLACE = Resize((512, 1536), pad=Pad(multiple=64))


def runs(args: dict[str, Any]) -> list[Run]:
    """The maps of a scene at each of its scales, each twice: those of the mirrored image are mirrored back in place."""
    poses = people(w=args["W"], h=args["H"], **args["people"])
    made: list[Run] = []
    for scale in args["scales"]:
        frame = PLACE.whole((args["H"], args["W"]), scale)
        places = with_neck(poses, rounded=False)
        places[..., :2] *= scale
        for view in (0, 1):
            seed = f"{args['people']['name']}_{scale}_{view}"
            height, width = frame.canvas_size
            limbs, heatmaps = part_maps(places, width, height, seed=seed, **args["maps"])
            made.append(Run({"limbs": limbs, "heatmaps": heatmaps}, frame, False, scale))
    return made


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", CASES)
def test_people_equal_the_reference(name: str, threads: int) -> None:
    args, out = CASES[name]["args"], CASES[name]["out"]
    points, scores, totals = FORM.group(runs(args), (args["H"], args["W"]), COCO_PERSON, threads)
    np.testing.assert_allclose(points, out["keypoints"], atol=1e-4)
    np.testing.assert_allclose(scores, out["keypoint_scores"], atol=1e-6)
    np.testing.assert_allclose(1 - 1 / totals, out["scores"], atol=1e-6)


def test_the_mirrored_image_shows_the_same_people() -> None:
    """Maps and limbs change sides, and an image whose width is no multiple of the stride is mirrored in place."""
    image = (240, 319)
    place = Resize(pad=Pad(multiple=64))
    frame = place.whole(image)
    truth = with_neck(people("four", 4, image[1], image[0], size=(0.5, 0.8)), rounded=False)
    views: list[Run] = []
    for mirrored in (False, True):
        poses = truth.copy()
        if mirrored:
            poses[..., 0] = np.where(truth[..., 2] > 0, image[1] - 1 - truth[..., 0], 0)
            poses = poses[:, FORM._mirrored_parts(COCO_PERSON)]  # pyright: ignore[reportPrivateUsage]
        limbs, heatmaps = part_maps(poses, frame.canvas_size[1], frame.canvas_size[0], noise=0.0)
        views.append(Run({"limbs": limbs, "heatmaps": heatmaps}, frame, mirrored))
    found = [FORM.find([view], CARD) for view in views] + [FORM.find(views, CARD)]
    order = list(FORM.keypoints)
    for each in found:
        assert len(each) == 4
        seen = each.keypoints[..., 2] > 0
        apart = np.linalg.norm(each.keypoints[:, None, :, :2] - 0.5 - truth[:, order, :2], axis=-1)
        nearest = np.nanmean(np.where(seen[:, None] & (truth[:, order, 2] > 0), apart, np.nan), -1).min(1)
        assert nearest.max() < 2


@pytest.mark.parametrize("value", [0.0, 0.5, -1.0, np.nan, np.inf, 1e30])
def test_hostile_maps(value: float) -> None:
    """Nobody in empty maps; of equal ones only the best peaks count, whose number has a limit."""
    form, frame = replace(FORM, top_k=10), Resize(pad=Pad(multiple=64)).whole((64, 64))
    full = {name: np.full((count, 16, 16), value, np.float32) for name, count in (("limbs", 30), ("heatmaps", 18))}
    found = form.group([Run(full, frame), Run(full, frame, True)], (64, 64), COCO_PERSON)
    assert all(np.isfinite(values).all() for values in found)
    assert len(found[0]) == 0 or value > 0
    args = CASES["decode_one"]["args"]
    [one, _] = runs(args)
    one.outputs["limbs"][5, 20:30, 20:30] = one.outputs["heatmaps"][3, 10:20, 10:20] = value
    assert all(np.isfinite(values).all() for values in form.group([one], (args["H"], args["W"]), COCO_PERSON))


def test_cards_that_do_not_fit_are_refused() -> None:
    assert Card.from_json(CARD.to_json()) == CARD
    with pytest.raises(FieldError, match=r"form\.limbs"):
        replace(CARD, form=replace(FORM, limbs=((1, 2), (2, 17))))
    for keypoints in ((0, 1), (0,) * 17):
        with pytest.raises(FieldError, match=r"form\.keypoints"):
            replace(CARD, form=replace(FORM, keypoints=keypoints))
