"""Labels of whole people's parts, against the references' numbers, and read back by the runtime's grouping."""

from typing import Any

import numpy as np
import pytest
import torch
from golden.crowds import PARTS, SIZES, SKELETON, part_maps, people, with_neck
from golden.reader import load_ops
from torch import Tensor

from detforge.deploy.forms import Composite
from detforge.train.labels.body_parts import body_part_maps
from detforge.train.labels.composite import association_fields, intensity_fields

SIGMAS = torch.from_numpy(SIZES)
CASES = load_ops("composite_labels")


def fields(case: dict[str, Any]) -> Tensor:
    people = torch.from_numpy(case["in"]["gt"]).double()
    people[..., :2] /= case["args"]["stride"]
    size = tuple(case["args"]["shape"][2:])
    if "cif" in case["name"]:
        return intensity_fields(people, SIGMAS, size)
    return association_fields(people, SKELETON, SIGMAS, size)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_composite_fields_equal_those_of_pifpaf(case: dict[str, Any]) -> None:
    drawn, args = fields(case), case["args"]
    assert list(drawn.shape) == args["shape"]
    assert (drawn[:, 0] == 1).sum() == args["n_positive"] and drawn.isnan().sum() == args["n_nan"]
    found = drawn.movedim(1, -1).flatten(0, -2)[torch.from_numpy(case["out"]["cells"])]
    expected = torch.from_numpy(case["out"]["values"]).double()
    whole = case["name"].endswith("lab1")
    if not whole:  # openpifpaf enlarges a person there whose head is hidden, by a pose of its own
        without_scales = {5: 4, 9: 7}[found.shape[1]]
        found, expected = found[:, :without_scales], expected[:, :without_scales]
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)
    if whole:
        drawn = drawn.nan_to_num(0)
        totals = drawn.sum().item(), drawn.square().sum().item()
        assert totals == pytest.approx(args["checksum"][:2], rel=1e-6)


def test_composite_fields_are_read_back() -> None:
    """The grouping finds the people that were drawn."""
    poses = torch.from_numpy(people("apart", 2, 401, 321, (0.5, 0.8), hide=0.0)).double()
    poses[..., :2] /= 8
    size = (41, 51)
    points = intensity_fields(poses, SIGMAS, size).nan_to_num(0).float()
    limbs = association_fields(poses, SKELETON, SIGMAS, size).nan_to_num(0).float()
    cells = torch.stack(torch.meshgrid(torch.arange(51.0), torch.arange(41.0), indexing="xy"))
    places = torch.cat([points[:, 1:3] + cells, points[:, 4:]], 1)
    ends = torch.cat([limbs[:, 1:3] + cells, limbs[:, 3:5] + cells, limbs[:, 7:]], 1)
    form = Composite(SKELETON)
    found = form.group(
        {"heatmaps": points[:, 0].numpy(), "places": places.numpy(), "limbs": limbs[:, 0].numpy(), "ends": ends.numpy()}
    )
    found = found[np.argsort(found[:, 0, 0])]
    expected = poses[poses[:, 0, 0].argsort(), :, :2].numpy() * 8
    assert len(found) == len(expected) == 2
    assert np.abs(found[..., :2] - expected).max() < 0.1


@pytest.mark.parametrize("crowded", [False, True])
def test_body_parts_equal_those_of_simple_pose(crowded: bool) -> None:
    """The golden's people are drawn by a program in NumPy, whose maps are the authors'."""
    drawn = with_neck(people("parts", 4, 448, 512, (0.45, 0.8), overlap=crowded), rounded=False)
    expected, _ = part_maps(drawn, 448, 512, noise=0)
    poses = torch.from_numpy(drawn).double()
    poses[..., :2] = (poses[..., :2] - 1.5) / 4
    found = body_part_maps(poses, PARTS, (128, 112))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.max() == pytest.approx(1, abs=0.02)


def test_nobody_leaves_nothing() -> None:
    nobody = torch.zeros(1, 17, 3)
    assert not intensity_fields(nobody, SIGMAS, (5, 6))[:, 0].any()
    assert not association_fields(nobody, SKELETON, SIGMAS, (5, 6))[:, 0].any()
    assert not body_part_maps(torch.zeros(0, 18, 3), PARTS, (5, 6)).any()
