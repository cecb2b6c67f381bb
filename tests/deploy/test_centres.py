"""CenterNet's poses from maps: against its authors' decoding of made-up crowds, and maps that no network gives."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from found import candidates_in
from golden.people import Maps, centre_maps, checksum, crowd_of
from golden.reader import load_ops

from detforge.deploy.card import Card, Provenance
from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.forms import Centres
from detforge.deploy.inputs.resize import ResizedFrame
from detforge.deploy.results.instances import Instances
from detforge.deploy.suppress import suppress
from detforge.deploy.system.errors import IncompatibleError
from detforge.models.skeletons import COCO_PERSON
from detforge.models.zoo import find

CASES = load_ops("centre_poses")
DECODING = [case for case in CASES if case["name"].startswith("decode")]
SUPPRESSION = [case for case in CASES if case["name"].startswith("soft")]
FORM = Centres()
CELLS = ResizedFrame(*[(64, 80)] * 3)
"""The canvas of a test whose results are in cells."""


def card(form: Centres, conf: float = 0.0) -> Card:
    variant = find("centernet_pose_test")
    return replace(
        variant.card(("person",), Provenance("", None, "fp32", {})), form=form, suppress=Suppress("none", conf=conf)
    )


def outputs_of(maps: Maps) -> Maps:
    return {
        "centres": maps["hm"],
        "sizes": maps["wh"],
        "offsets": maps["reg"],
        "displacements": maps["hps"].reshape(17, 2, *maps["hps"].shape[1:]),
        "heatmaps": maps["hm_hp"],
        "heatmap_offsets": maps["hp_offset"],
    }


def crowd(case: dict[str, Any]) -> Maps:
    args = case["args"]
    maps = centre_maps(crowd_of(args), args["W"], args["H"], **args["maps"])
    for name, expected in args["checksum"].items():
        np.testing.assert_allclose(checksum(maps[name]), expected, rtol=1e-9)
    return outputs_of(maps)


def found(outputs: Maps, form: Centres = FORM, conf: float = 0.0, mirrored: Maps | None = None) -> Instances:
    return candidates_in(outputs, card(form, conf), CELLS, mirrored)


@pytest.mark.parametrize("case", DECODING, ids=lambda case: case["name"])
@pytest.mark.parametrize("scored_by", ["person", "peak"])
def test_people_are_those_of_the_authors(case: dict[str, Any], scored_by: Any) -> None:
    ours = found(crowd(case), Centres(top_k=case["args"]["K"], scored_by=scored_by))
    theirs = case["out"]["dets"]
    np.testing.assert_allclose(ours.boxes, theirs[:, :4], atol=1e-4)
    np.testing.assert_allclose(ours.scores, theirs[:, 4], atol=1e-6)
    np.testing.assert_allclose(ours.keypoints[..., :2].reshape(-1, 34), theirs[:, 5:39], atol=1e-4)
    scores = case["out"]["joint_scores"].clip(0) if scored_by == "peak" else np.repeat(theirs[:, 4:5], 17, 1)
    np.testing.assert_allclose(ours.keypoints[..., 2], scores, atol=1e-6)


@pytest.mark.parametrize("case", SUPPRESSION, ids=lambda case: case["name"])
def test_soft_nms_is_that_of_the_authors(case: dict[str, Any]) -> None:
    """The first rows of their array; those after them are copies of rows that they drop."""
    args, rows = case["args"], case["in"]["boxes"]
    kind = ("hard", "linear", "gaussian")[args["method"]]
    rule = Suppress(kind, args["threshold"], args["Nt"], inclusive=True, sigma=args["sigma"])
    boxes = Instances(rows[:, :4], rows[:, 4], np.zeros(len(rows), np.int64), ("person",), (1, 1))
    ours, theirs = suppress(boxes, rule), case["out"]["boxes"][: args["n_keep"]]
    assert len(ours) == len(theirs)
    order = np.argsort(-theirs[:, 4], kind="stable")
    np.testing.assert_allclose(ours.scores, theirs[order, 4], atol=1e-6)
    np.testing.assert_allclose(ours.boxes, theirs[order, :4], atol=1e-4)


def mirrored(outputs: Maps) -> Maps:
    """What a network gives for the mirrored image, if it gives `outputs` for the image; offsets apart, which the flip
    test does not read."""
    back = {name: value[..., ::-1].copy() for name, value in outputs.items()}
    order = COCO_PERSON.mirrored()
    for name in ("displacements", "heatmaps"):
        back[name] = back[name][order]
    back["displacements"][:, 0] *= -1
    for name in ("offsets", "heatmap_offsets"):
        back[name][:] = np.nan
    return back


def test_both_views_of_the_same_people_agree() -> None:
    outputs = crowd(DECODING[0])
    plain = found(outputs)
    both = found(outputs, replace(FORM, flip=True), mirrored=mirrored(outputs))
    np.testing.assert_allclose(both.boxes, plain.boxes, atol=1e-5)
    np.testing.assert_allclose(both.keypoints, plain.keypoints, atol=1e-5)


def test_both_views_are_averaged() -> None:
    outputs = crowd(DECODING[0])
    other = mirrored(outputs)
    other["centres"] *= 0.5
    other["displacements"][..., :] = 0
    outputs["heatmaps"][:], other["heatmaps"][:] = 0, 0
    plain, both = found(outputs), found(outputs, mirrored=other)
    np.testing.assert_allclose(both.scores, 0.75 * plain.scores, rtol=1e-5)
    cells = np.rint(2 * both.keypoints[..., :2] - plain.keypoints[..., :2])  # both start in the same cell
    np.testing.assert_allclose(2 * both.keypoints[..., :2] - plain.keypoints[..., :2], cells, atol=1e-4)
    assert (cells == cells[:, :1]).all()


def blank(value: float, k: int = 17) -> Maps:
    shapes = {"centres": (1,), "sizes": (2,), "offsets": (2,), "displacements": (k, 2), "heatmaps": (k,)}
    shapes["heatmap_offsets"] = (2,)
    return {name: np.full((*shape, 64, 80), value, np.float32) for name, shape in shapes.items()}


def test_empty_maps_hold_nobody() -> None:
    people = found(blank(0.0), conf=0.01)
    assert len(people) == 0 and people.keypoints.shape == (0, 17, 3)


def test_flat_maps_have_as_many_people_as_are_kept() -> None:
    people = found(blank(0.5), conf=0.01)
    assert len(people) == 100 and np.isfinite(people.keypoints).all()
    # Every cell is a peak, and the first ones are taken.
    np.testing.assert_allclose(people.boxes[:, 0], np.tile(np.arange(80), 2)[:100] + 0.25)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_hold_nobody(value: float) -> None:
    assert len(found(blank(value), conf=0.01)) == 0
    outputs = crowd(DECODING[0])
    expected = found(outputs, conf=0.3)
    outputs["heatmaps"][3] = value
    outputs["displacements"][:, :, 0, 0] = value
    assert len(found(outputs, conf=0.3)) == len(expected) >= 3


def test_the_threshold_and_the_number_of_people() -> None:
    outputs = crowd(DECODING[0])
    everyone = found(outputs)
    assert (found(outputs, conf=0.3).scores == everyone.scores[everyone.scores > 0.3]).all()
    np.testing.assert_array_equal(found(outputs, Centres(top_k=2)).scores, everyone.scores[:2])


def test_other_keypoints_than_the_card_says() -> None:
    with pytest.raises(IncompatibleError, match="16 displacements, its Card's skeleton has 17"):
        found(blank(0.0, k=16))


@pytest.mark.parametrize("change", [{"top_k": 0}, {"least_keypoint": 1.5}, {"snap": -1.0}])
def test_parameters_out_of_range(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must hold"):
        Centres(**change)
