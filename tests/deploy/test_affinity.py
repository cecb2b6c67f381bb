"""Grouping of keypoints by part affinity fields: against a port's numbers, and on hostile maps."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conftest import COLOR_CARD
from golden.crowds import FIELDS, affinity_maps, people, with_neck
from golden.reader import load_ops

from detforge.deploy.card import Card
from detforge.deploy.contract.parse import FieldError
from detforge.deploy.forms import Affinity
from detforge.deploy.forms.form import Run
from detforge.deploy.inputs.geometry import Frame
from detforge.deploy.inputs.resize import Pad, Resize
from detforge.models.skeletons import OPENPOSE_18
from detforge.models.zoo import find

CASES = {case["name"]: case for case in load_ops("openpose")}
FORM = Affinity(OPENPOSE_18.links, starts=18)
ORDER = [FIELDS.index(limb) for limb in FORM.limbs]
CARD = replace(find("openpose").card(("person",), COLOR_CARD.provenance), form=FORM, inputs=(find("openpose").input,))


def maps(args: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """The heatmaps and fields of a scene, without the background and in the order of the form's limbs."""
    poses = with_neck(people(w=args["W"], h=args["H"], **args["people"]))
    heatmaps, fields = affinity_maps(poses, args["W"], args["H"], **args["maps"])
    return heatmaps[:18], in_order(fields)


def in_order(fields: np.ndarray) -> np.ndarray:
    return fields.reshape(19, 2, *fields.shape[1:])[ORDER]


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("decode_")])
def test_people_equal_the_reference(name: str) -> None:
    out = CASES[name]["out"]
    points, scores, totals = FORM.group(*maps(CASES[name]["args"]))
    np.testing.assert_array_equal(points, out["keypoints"])
    np.testing.assert_allclose(scores, out["keypoint_scores"], atol=1e-6)
    np.testing.assert_allclose(totals, out["scores"], atol=1e-6)


def scene(frame: Frame, stretch: float = 1.0, mirrored: bool = False, noise: float = 0.0) -> Run:
    """What a network gives for four people in an image of 320x240 px that lies on the frame's canvas.

    In the mirrored image left and right are those of the people that it shows.
    """
    poses = with_neck(people("four", 4, 320, 240, size=(0.5, 0.8)), rounded=False)
    if mirrored:
        poses[..., 0] = np.where(poses[..., 2] > 0, 320 - poses[..., 0], 0)
        poses = poses[:, OPENPOSE_18.mirrored()]
    places = frame.to_canvas(poses[..., :2]) - 0.5  # pixel 0 has its centre at 0.5
    poses = np.concatenate((np.where(poses[..., 2:] > 0, places, 0), poses[..., 2:]), -1)
    height, width = frame.canvas_size
    heatmaps, fields = affinity_maps(poses, width, height, noise=noise, seed="four")
    return Run({"heatmaps": heatmaps[:18], "fields": in_order(fields)}, frame, mirrored, stretch)


def test_the_mirrored_image_and_other_scales_change_nothing() -> None:
    """Limbs change sides, horizontal directions their sign, and maps of all canvases show the same places."""
    place = Resize((244, 325), pad=Pad(multiple=8))  # 325 px end within a px of the maps
    views = [scene(place.whole((240, 320), scale), scale, turn) for scale in (1.0, 1.5) for turn in (False, True)]
    form = replace(FORM, flip=True, scales=(1.0, 1.5))
    found = form.find(views, replace(CARD, form=form))
    once = FORM.find(views[:1], CARD)
    assert len(found) == len(once) == 4
    shown = (once.keypoints[..., 2] > 0) & (found.keypoints[..., 2] > 0)
    assert shown.mean() > 0.9
    truth = with_neck(people("four", 4, 320, 240, size=(0.5, 0.8)), rounded=False)
    for one in (once, found):
        px = one.keypoints[..., :2] * (320 / 325)
        apart = np.linalg.norm(px[:, None] - truth[..., :2], axis=-1)
        apart[:, truth[..., 2] == 0] = np.nan
        nearest = np.nanmean(np.where(one.keypoints[:, None, :, 2] > 0, apart, np.nan), -1).min(1)
        assert nearest.max() < 3  # px; a px of the maps is 8


def test_fields_of_the_mirrored_image_equal_the_reference() -> None:
    given, out = CASES["flip"]["in"], CASES["flip"]["out"]
    frame = Resize(pad=Pad(multiple=8)).whole((48, 64))
    views = []
    for suffix, mirrored in (("", False), ("_flipped", True)):
        heatmaps, fields = (given[name + suffix].transpose(2, 0, 1) for name in ("heat", "paf"))
        views.append(Run({"heatmaps": heatmaps[:18], "fields": in_order(fields)}, frame, mirrored))
    heatmaps, fields = replace(FORM, flip=True).merged(views, OPENPOSE_18)
    np.testing.assert_allclose(heatmaps, out["heat"].transpose(2, 0, 1)[:18], atol=1e-6)
    np.testing.assert_allclose(fields, in_order(out["paf"].transpose(2, 0, 1)), atol=1e-6)


def test_the_image_is_prepared_as_in_the_reference() -> None:
    case = CASES["preprocess"]
    spec = find("openpose").input.placed(size=(36, 1312))
    frame = spec.place.whole(case["in"]["img"].shape[:2])
    canvas = np.empty((3, *frame.canvas_size), np.float32)
    frame.fill(canvas, np.ascontiguousarray(case["in"]["img"]), spec.pixels, 1)
    np.testing.assert_allclose(canvas, case["out"]["rtpose"], atol=1.01 / 256)  # a level, where OpenCV rounds
    assert (canvas != case["out"]["rtpose"]).mean() < 0.05


@pytest.mark.parametrize("value", [0.0, 0.5, -1.0, np.nan, np.inf, 1e30])
def test_hostile_maps(value: float) -> None:
    """Nobody in empty maps; of equal ones only the best peaks count, whose number has a limit."""
    form = replace(FORM, top_k=20)
    points, scores, totals = form.group(np.full((18, 12, 16), value, "f"), np.full((19, 2, 12, 16), value, "f"))
    assert np.isfinite(points).all() and np.isfinite(scores).all() and np.isfinite(totals).all()
    assert len(points) == 0 or value > 0
    heatmaps, fields = maps(CASES["decode_three"]["args"])
    heatmaps[3, 10:20, 10:20] = value
    fields[5, :, 10:20, 10:20] = value
    for values in form.group(heatmaps, fields):
        assert np.isfinite(values).all()


def test_cards_that_do_not_fit_are_refused() -> None:
    assert Card.from_json(CARD.to_json()) == CARD
    for form in (replace(FORM, limbs=((0, 18),)), replace(FORM, limbs=()), replace(FORM, limbs=((1, 2),), flip=True)):
        with pytest.raises(FieldError, match=r"form\.limbs"):
            replace(CARD, form=form)
    with pytest.raises(FieldError, match=r"form\.scales"):
        replace(FORM, scales=(0.5,))
    with pytest.raises(ValueError, match="differ in shape"):
        FORM.group(np.zeros((18, 4, 5), "f"), np.zeros((19, 2, 5, 4), "f"))
