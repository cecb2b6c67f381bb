"""Text from maps: rotated boxes as in EAST, dilated regions as in SA-Text, grown ones as in DGST."""

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest
from found import candidates_in, found_in
from golden.reader import load_ops

from detforge.deploy.card import Card, Provenance
from detforge.deploy.contract.parse import FieldError
from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.forms import Dilated, Form, Grown, Rotated
from detforge.deploy.inputs.network_inputs import ImageInput
from detforge.deploy.inputs.resize import Pad, Resize
from detforge.deploy.results.instances import Instances
from detforge.deploy.suppress.polygons import iou
from detforge.deploy.system.errors import IncompatibleError

BOXES = {case["name"]: case for case in load_ops("rotated_boxes")}
REGIONS = {case["name"]: case for case in load_ops("text_regions")}
RULE = Suppress("locality", conf=0.8, iou=0.2)
CARD = Card(
    model="text",
    inputs=(ImageInput(Resize(pad=Pad(multiple=32)), "rgb", (0.0,) * 3, (1.0,) * 3),),
    form=Rotated(),
    labels=("text",),
    provenance=Provenance("none", None, "fp32"),
    suppress=RULE,
)


def card_of(form: Form, rule: Suppress) -> Card:
    return replace(CARD, form=form, suppress=rule)


def found(maps: dict[str, np.ndarray], card: Card, stride: int = 4, rows: bool = False) -> Instances:
    """The detections in maps (1, h, w) whose canvas has the image's size."""
    height, width = next(iter(maps.values())).shape[1:]
    frame = replace(card.input.place, pad=Pad((height * stride, width * stride))).whole(
        (height * stride, width * stride)
    )
    return (candidates_in if rows else found_in)(maps, card, frame)


def box_maps(
    size: tuple[int, int], cells: np.ndarray, scores: np.ndarray, geometry: np.ndarray
) -> dict[str, np.ndarray]:
    """Maps with a score and a box at some cells (row, column); the rest is 0."""
    maps = {"scores": np.zeros((1, *size)), "distances": np.zeros((4, *size)), "angles": np.zeros((1, *size))}
    rows, columns = cells.T
    maps["scores"][0, rows, columns] = scores
    maps["distances"][:, rows, columns] = geometry[:, :4].T
    maps["angles"][0, rows, columns] = geometry[:, 4]
    return {name: value.astype(np.float32) for name, value in maps.items()}


def matched(ours: Sequence[np.ndarray], theirs: np.ndarray, least: float) -> bool:
    """Whether each polygon has one of the reference's that overlaps it, and the other way round."""
    overlaps = iou([*ours, *theirs])[: len(ours), len(ours) :]
    return len(ours) == len(theirs) and bool((overlaps.max(0) >= least).all() and (overlaps.max(1) >= least).all())


def test_boxes_are_restored_as_in_east() -> None:
    given, expected = BOXES["rbox_restore"]["in"], BOXES["rbox_restore"]["out"]["quads"]
    for place, geometry, quad in zip(given["xy"], given["geometry"], expected, strict=True):
        cell = place[::-1][None] // 4
        maps = box_maps((cell[0, 0] + 3, cell[0, 1] + 5), cell, np.ones(1), geometry[None])
        shift = place - 4 * cell[0, ::-1]
        [restored] = found(maps, card_of(Rotated(), replace(RULE, kind="none"))).polygons
        np.testing.assert_allclose(restored + shift, quad, rtol=1e-6, atol=1e-3)


@pytest.mark.parametrize("signs", ["one_sign", "mixed_sign"])
def test_boxes_of_whole_maps_are_easts(signs: str) -> None:
    case = BOXES[f"rbox_maps_{signs}"]
    cells = case["in"]["cells"].astype(int)
    maps = box_maps(tuple(cells.max(0) + 8), cells, case["in"]["cell_scores"], case["in"]["cell_geometry"])
    ours, out = found(maps, CARD), case["out"]
    pairs = np.abs(np.stack(list(ours.polygons)).reshape(-1, 1, 8) - out["boxes"]).max(2)
    partners = pairs.argmin(1)
    assert sorted(partners) == list(range(len(out["boxes"]))) and pairs.min(1).max() < 5e-3
    # Their map has noise below the threshold beside, which the golden does not keep.
    np.testing.assert_allclose(ours.scores, out["final_scores"][partners], atol=5e-3)
    for score, polygon in zip(ours.scores, ours.polygons, strict=True):
        mask = np.zeros(maps["scores"].shape[1:], np.uint8)
        cv2.fillPoly(mask, [polygon.astype(np.int32) // 4], 1)
        assert score == pytest.approx(maps["scores"][0][mask > 0].mean(), abs=1e-6)
    assert (np.diff(ours.scores) <= 0).all()


def test_every_pixel_is_a_candidate_for_other_suppression() -> None:
    case = BOXES["rbox_maps_one_sign"]
    cells = case["in"]["cells"].astype(int)
    maps = box_maps(tuple(cells.max(0) + 8), cells, case["in"]["cell_scores"], case["in"]["cell_geometry"])
    hard = card_of(Rotated(), replace(RULE, kind="polygons"))
    assert len(found(maps, hard, rows=True)) == int((case["in"]["cell_scores"] > 0.8).sum())
    assert len(found(maps, hard)) == len(case["out"]["boxes"])
    assert len(found(maps, card_of(Rotated(least=1.0), RULE))) == 0


@pytest.mark.parametrize("name", ["satext_decode_0", "satext_decode_1"])
def test_dilated_regions_are_those_of_sa_text(name: str) -> None:
    """Its corners are whole px."""
    case = REGIONS[name]
    values = case["in"]["score"].astype(np.float32)
    ours = found({"map": values[None]}, card_of(Dilated(), Suppress("none", conf=0.0)))
    whole = [np.trunc(polygon / np.float32(case["args"]["scale"])) for polygon in ours.polygons]
    assert matched(whole, case["out"]["boxes"].astype(np.float32), 0.95)


@pytest.mark.parametrize("name", ["satext_textfill_default", "satext_textfill_top7_end2"])
def test_the_fill_of_sa_text(name: str) -> None:
    case, options = REGIONS[name], REGIONS[name]["args"]
    values = case["in"]["score"].astype(np.float32)
    form = Grown(options["top_threshold"], options["end_threshold"], least_pixels=1)
    np.testing.assert_array_equal(form._labels(values, values), case["out"]["labels"])


def test_regions_grow_as_in_dgst() -> None:
    case = REGIONS["dgst_grow"]
    small, large = (case["in"][key].astype(np.float32) for key in ("small", "large"))
    np.testing.assert_array_equal(Grown()._labels(large, small), case["out"]["labels"])
    ours = found({"map": large[None], "kernels": small[None]}, card_of(Grown(), Suppress("none", conf=0.0)), stride=1)
    assert matched(ours.polygons, case["out"]["boxes"], 0.999)


def test_touching_lines_of_text_stay_apart() -> None:
    """Two bars touch in the map, and their kernels do not: the region would be one for a plain threshold."""
    values, kernels = np.zeros((1, 20, 40), np.float32), np.zeros((1, 20, 40), np.float32)
    values[0, 4:8, 5:35], values[0, 8:12, 5:35] = 0.6, 0.9
    kernels[0, 5:7, 8:32], kernels[0, 9:11, 8:32] = 1, 1
    ours = found({"map": values, "kernels": kernels}, card_of(Grown(), Suppress("polygons", conf=0.5)), stride=1)
    np.testing.assert_allclose(ours.scores, [0.9, 0.6], atol=1e-6)
    np.testing.assert_allclose(ours.boxes, [[5, 8, 34, 11], [5, 4, 34, 7]], atol=1e-3)
    ours = found({"map": values, "kernels": kernels}, card_of(Grown(), Suppress("polygons", conf=0.7)), stride=1)
    assert len(ours) == 1


def test_a_bar_at_a_border_is_dilated_within_the_map() -> None:
    """60 px in a box of 20x3: solid, so that 4.3 times the root of 3 are 7 px: the square has a side of 8."""
    values = np.zeros((1, 30, 40), np.float32)
    values[0, 10:13, :20] = 0.5
    ours = found({"map": values}, card_of(Dilated(), Suppress("none", conf=0.4)), stride=1)
    expected = cv2.dilate(np.pad(values[0], 8), np.ones((8, 8)))[8:-8, 8:-8]
    rows, columns = np.nonzero(expected)
    np.testing.assert_allclose(ours.boxes, [[columns.min(), rows.min(), columns.max(), rows.max()]], atol=1e-3)
    assert ours.boxes[0, 0] == pytest.approx(0, abs=1e-6) and ours.scores.tolist() == [0.5]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-40])
def test_hostile_maps(value: float) -> None:
    maps = {name: np.full((count, 9, 11), value, np.float32) for name, count in (("scores", 1), ("distances", 4))}
    maps["angles"] = maps["scores"]
    mixed = {"scores": np.ones((1, 9, 11), np.float32)}
    noise = np.random.default_rng(0).random((1, 9, 11), np.float32)
    for kind in ("locality", "polygons", "none"):
        for given in (maps, maps | mixed):
            with np.errstate(all="ignore"):
                ours = found(given, card_of(Rotated(), replace(RULE, kind=kind)))
            assert np.isfinite(ours.boxes).all() and np.isfinite(ours.scores).all() | (given is maps)
    for form in (Dilated(), Grown()):
        spoilt = np.where(noise > 0.5, np.float32(value), noise)
        with np.errstate(all="ignore"):
            ours = found({"map": spoilt, "kernels": spoilt}, card_of(form, Suppress("polygons", conf=0.0)))
        assert np.isfinite(ours.boxes).all()


def test_maps_of_several_sizes_are_refused() -> None:
    one, other = np.ones((1, 8, 8), np.float32), np.ones((1, 8, 16), np.float32)
    with pytest.raises(IncompatibleError, match="map 8x8, kernels 16x8"):
        found({"map": one, "kernels": other}, card_of(Grown(), Suppress("polygons")))
    with pytest.raises(IncompatibleError, match="distances 16x8"):
        found({"scores": one, "distances": np.ones((4, 8, 16), np.float32), "angles": one}, CARD)


@pytest.mark.parametrize("form", [Rotated, Grown, Dilated])
def test_parameters_out_of_range_are_named(form: type[Form]) -> None:
    field = "least" if form is Rotated else "threshold"
    with pytest.raises(FieldError, match=f"form.{field}"):
        form(**{field: 1.5})  # type: ignore[call-arg]
