"""Poses as displacements from centres: against SPM's definition on made-up crowds, and plain definitions."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from found import candidates_in
from golden.people import checksum, crowd_of, root_maps
from golden.reader import load_ops
from numpy.typing import NDArray

from detforge.deploy.card import Card, Provenance
from detforge.deploy.contract.skeleton import Skeleton
from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.forms import Roots
from detforge.deploy.forms.roots import apart, sampled
from detforge.deploy.inputs.crop import WarpedFrame
from detforge.deploy.results.instances import Instances
from detforge.deploy.system.errors import IncompatibleError
from detforge.models.zoo import find

CASES = load_ops("displaced_poses")
PARENTS = find("spm").form.parents
HEIGHT, WIDTH = 24, 32
FORM = Roots()


def found(outputs: dict[str, Any], form: Roots = FORM, skeleton: Skeleton | None = None, *mirrored: Any) -> Instances:
    """The people in cells of the map."""
    variant = find("spm_test")
    card: Card = replace(
        variant.card(("person",), Provenance("", None, "fp32", {})),
        form=form,
        suppress=Suppress("none", conf=0.0),
        skeleton=skeleton or variant.skeleton,
    )
    size = outputs["centres"].shape[1:]
    frame = WarpedFrame(size, size, (size[1] / 2, size[0] / 2), size[::-1], False)
    return candidates_in(outputs, card, frame, *mirrored)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_poses_are_those_of_the_definition(case: dict[str, Any]) -> None:
    args = case["args"]
    parents = {int(child): parent for child, parent in args["parent"].items()}
    maps = root_maps(crowd_of(args), args["W"], args["H"], parents, **args["maps"])
    for name, value in maps.items():
        np.testing.assert_allclose(checksum(value), args[f"checksum_{name}"], rtol=1e-9)
    assert tuple(parents[i] for i in range(17)) == PARENTS
    outputs = {"centres": maps["root"][None], "displacements": maps["disp"].reshape(17, 2, *maps["root"].shape)}
    people = found(outputs, Roots(parents=PARENTS, diagonal=True, least_centre=args["thr"]))
    order = np.argsort(-people.scores, kind="stable")
    np.testing.assert_allclose(people.scores[order], case["out"]["scores"], atol=1e-6)
    np.testing.assert_allclose(people.keypoints[order, :, :2], case["out"]["keypoints"], atol=1e-4)


TWO = Skeleton(("head", "left", "right"), ((0, 1), (0, 2)), ((1, 2),), (0.1, 0.1, 0.1))


def planted(*cells: tuple[int, int]) -> dict[str, NDArray[np.float32]]:
    """Maps of people in these cells (x, y), each a little worse than the one before, 5 cells tall and wide."""
    centres = np.zeros((1, HEIGHT, WIDTH), np.float32)
    displacements = np.zeros((3, 2, HEIGHT, WIDTH), np.float32)
    for i, (x, y) in enumerate(cells):
        centres[0, y, x] = 0.9 - 0.1 * i
    displacements[0, 1], displacements[1, 0], displacements[2, 0] = -3, -2.5, 2.5
    return {"centres": centres, "displacements": displacements}


def test_a_person_is_where_the_maps_say() -> None:
    people = found(planted((10, 12), (20, 8)), skeleton=TWO)
    np.testing.assert_allclose(people.keypoints[0], [[10, 9, 0.9], [7.5, 12, 0.9], [12.5, 12, 0.9]], rtol=1e-6)
    np.testing.assert_allclose(people.boxes[0], [7.5, 9, 12.5, 12])
    np.testing.assert_allclose(people.scores, [0.9, 0.8], rtol=1e-6)


def test_the_flip_test_swaps_and_shifts() -> None:
    """The network of the mirrored image sees the same person one cell further left, as strided networks do."""
    outputs = planted((10, 12))
    mirrored = planted((WIDTH - 1 - 9, 12))
    mirrored["displacements"][1, 0], mirrored["displacements"][2, 0] = -2.5, 2.0
    form = Roots(flip=True, shift=1.0, shift_displacements=0.75)
    people = found(outputs, form, TWO, mirrored)
    # Mirrored, the left hand is the right one: its displacement of -2.5 becomes 2.5, and then 0.75 more.
    expected = [[10 + 0.375, 9], [10 + (-2.5 - 2.0 + 0.75) / 2, 12], [10 + (2.5 + 2.5 + 0.75) / 2, 12]]
    np.testing.assert_allclose(people.keypoints[0, :, :2], expected, rtol=1e-6)
    np.testing.assert_allclose(people.scores, [0.9], rtol=1e-6)


def test_of_people_too_close_to_each_other_one_is_left() -> None:
    draw = np.random.default_rng(0)
    poses = draw.uniform(0, 100, (12, 1, 2)).repeat(17, 1) + draw.uniform(-20, 20, (12, 17, 2))
    poses[6:] = poses[:6] + draw.uniform(-3, 3, (6, 17, 2)) * np.linspace(0.1, 2, 6)[:, None, None]
    poses = poses.astype(np.float32)
    order = draw.permutation(12)
    kept = apart(poses, order, 0.05)
    # Greedily: a pose is dropped if it is near a kept one; the sizes of these are alike.
    expected: list[int] = []
    for row in order:
        size = [np.linalg.norm(poses[i].max(0) - poses[i].min(0)) for i in range(12)]
        close = [(np.linalg.norm(poses[row] - poses[k], axis=1) < 0.05 * size[k]).sum() > 8 for k in expected]
        if not any(close):
            expected.append(int(row))
    assert kept.tolist() == expected and 6 < len(kept) < 12


def test_values_between_cells() -> None:
    draw = np.random.default_rng(1)
    maps = draw.normal(size=(3, 5, 7)).astype(np.float32)
    points = draw.uniform(-2, 8, (20, 3, 2)).astype(np.float32)
    ours = sampled(maps, points)
    for row, part in np.ndindex(20, 3):
        x = np.clip(points[row, part, 0] * 7 / 6 - 0.5, 0, 6)
        y = np.clip(points[row, part, 1] * 5 / 4 - 0.5, 0, 4)
        along = [np.interp(x, range(7), line) for line in maps[part]]
        assert ours[row, part] == pytest.approx(np.interp(y, range(5), along), abs=1e-5)
    assert sampled(np.ones((1, 1, 1), np.float32), np.zeros((1, 1, 2), np.float32)) == 1


@pytest.mark.parametrize("value", [0.0, 0.5, np.nan, np.inf, -np.inf])
def test_maps_that_no_network_gives(value: float) -> None:
    outputs = planted((10, 12), (20, 8))
    outputs["heatmaps"] = np.full((3, HEIGHT, WIDTH), 0.5, np.float32)
    outputs["displacements"][:, :, 12, 10] = value
    form = Roots(parents=(-1, 0, 1), nearby=0.05)
    people = found(outputs, form, TWO)
    assert len(people) == (2 if np.isfinite(value) else 1) and np.isfinite(people.keypoints).all()
    outputs["centres"][:] = value
    assert len(found(outputs, form, TWO)) <= 30
    outputs["centres"][:] = 0.5
    outputs["displacements"][:] = 0
    flat = found(outputs, form, TWO)
    assert len(flat) == 30 and np.isfinite(flat.scores).all()


def test_poses_are_scored_again() -> None:
    """By a network that is written down here for one person; of nobody there is nothing to score."""
    draw = np.random.default_rng(2)
    outputs = planted((10, 12)) | {"heatmaps": draw.uniform(0.2, 1, (3, HEIGHT, WIDTH)).astype(np.float32)}
    plain = found(outputs, skeleton=TWO)
    layers = [draw.normal(size=shape).astype(np.float32) for shape in ((5, 10), (4, 6), (1, 5))]
    weights = {f"rescoring_{i + 1}": layer for i, layer in enumerate(layers)}
    again = found(outputs | weights, Roots(torso=(0, 1)), TWO)
    values = plain.keypoints[0, :, 2] / 0.9
    first, second = np.array([10 - 7.5, 9 - 12]), np.array([10 - 12.5, 9 - 12])
    unit = np.linalg.norm(first)  # both links are as long
    x = np.array([*first / unit, *second / unit, 1, 1, *values])
    x = np.maximum(layers[0][:, :9] @ x[:9] + layers[0][:, 9], 0)
    x = np.maximum(layers[1][:, :5] @ x + layers[1][:, 5], 0)
    factor = layers[2][0, :4] @ x + layers[2][0, 4]
    np.testing.assert_allclose(again.keypoints[..., 2], plain.keypoints[..., 2] * factor, rtol=1e-4)
    assert len(found(planted() | weights | {"heatmaps": outputs["heatmaps"]}, Roots(torso=(0, 1)), TWO)) == 0


def test_nobody() -> None:
    people = found(planted(), Roots(nearby=0.05), TWO)
    assert len(people) == 0 and people.keypoints.shape == (0, 3, 3)


@pytest.mark.parametrize(
    ("change", "what"),
    [({"parents": (1, 0)}, "circle"), ({"parents": (0,)}, "circle"), ({"parents": (5,)}, "circle")]
    + [({name: value}, name) for name, value in (("kernel", 2), ("top_k", 0), ("nearby", 2.0), ("shift", -1.0))],
)
def test_parameters_out_of_range(change: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        Roots(**change)


def test_a_card_that_does_not_fit_its_skeleton() -> None:
    with pytest.raises(ValueError, match=r"form\.parents"):
        found(planted((1, 1)), Roots(parents=(-1, 0)), TWO)
    with pytest.raises(ValueError, match=r"form\.torso"):
        found(planted((1, 1)), Roots(torso=(0, 2)), TWO)
    with pytest.raises(IncompatibleError, match="3 displacements, its Card's skeleton has 17"):
        found(planted((1, 1)))
