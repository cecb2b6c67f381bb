"""Labels against those of OpenMMLab."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from golden.reader import load_ops
from torch import Tensor

from detforge.train.labels.bins import gaussian_bins, smoothed_bins
from detforge.train.labels.coarse_to_fine import blurred_maps
from detforge.train.labels.discs import disc_maps
from detforge.train.labels.heatmaps import quantised_maps, reaches, unbiased_maps, windowed_maps
from detforge.train.labels.part_affinity import affinity_fields

CASES = {case["name"]: case for case in load_ops("labels")}
SIZE = (32, 24)
Kind = Callable[[Tensor, tuple[int, int]], Tensor]


def points(case: dict[str, Any], spacing: bool) -> Tensor:
    """The keypoints in px of the map: by shares of its size, or from the first pixel's centre to the last one's."""
    given = torch.from_numpy(case["in"]["keypoints"])[0]
    across, along = case["args"]["input_size"]
    if spacing:
        return given / torch.tensor([(across - 1) / 23, (along - 1) / 31])
    return given / torch.tensor([across / 24, along / 32])


@pytest.mark.parametrize(
    ("name", "kind", "spacing"),
    [
        ("label_msra", quantised_maps, False),
        ("label_msra_unbiased", unbiased_maps, False),
        ("label_udp_gaussian", windowed_maps, True),
    ],
)
def test_heatmaps_equal_mmpose(name: str, kind: Kind, spacing: bool) -> None:
    case = CASES[name]
    where = points(case, spacing)
    weights = reaches(where, SIZE) * torch.from_numpy(case["in"]["visible"])[0]
    found = kind(where, SIZE) * (weights > 0)[:, None, None]
    torch.testing.assert_close(found, torch.from_numpy(case["out"]["heatmaps"]), atol=1e-6, rtol=1e-5)
    assert weights.tolist() == case["out"]["keypoint_weights"][0].tolist()


def test_discs_equal_mmpose() -> None:
    case = CASES["label_udp_combined"]
    discs, offsets = disc_maps(points(case, True), SIZE, case["args"]["radius_factor"] * 32)
    found = (
        torch.cat((discs[:, None], offsets), 1)
        * torch.from_numpy(case["out"]["keypoint_weights"])[0, :, None, None, None]
    )
    torch.testing.assert_close(found.flatten(0, 1), torch.from_numpy(case["out"]["heatmaps"]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kernel", [15, 11, 9, 7, 5])
def test_blurred_cells_equal_mmpose(kernel: int) -> None:
    case = CASES[f"label_megvii_{kernel}"]
    seen = torch.from_numpy(case["in"]["visible"])[0]
    found = blurred_maps(points(case, False), SIZE, kernel) * seen[:, None, None]
    torch.testing.assert_close(found, torch.from_numpy(case["out"]["heatmaps"]), atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("name", ["label_simcc", "label_simcc_rtm", "label_simcc_smooth"])
def test_bins_equal_mmpose(name: str) -> None:
    case = CASES[name]
    args, given = case["args"], torch.from_numpy(case["in"]["keypoints"])[0]
    weights = torch.from_numpy(case["out"]["keypoint_weights"])[0, :, None]
    for axis, side in enumerate("xy"):
        expected = torch.from_numpy(case["out"][f"keypoint_{side}_labels"])[0]
        if "label_smooth_weight" in args:
            found = smoothed_bins(given[:, axis], expected.shape[1], args["label_smooth_weight"], 1.0)
        else:
            sigma = args["sigma"][axis] if isinstance(args["sigma"], list) else args["sigma"]
            found = gaussian_bins(given[:, axis], expected.shape[1], sigma, 2.0, args.get("normalize", True))
        torch.testing.assert_close(found * weights, expected, atol=1e-6, rtol=1e-5)


LIMBS = (
    *((1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13), (1, 2), (2, 3), (3, 4), (2, 16)),
    *((1, 5), (5, 6), (6, 7), (5, 17), (1, 0), (0, 14), (0, 15), (14, 16), (15, 17)),
)
"""OpenPose's limbs of COCO's people, whose keypoint 1 is the neck."""


@pytest.mark.parametrize("case", load_ops("affinity"), ids=lambda case: case["name"])
def test_affinity_fields_equal_those_of_openpose(case: dict[str, Any]) -> None:
    """The golden has their sum and the sum of their squares."""
    args, people = case["args"], torch.from_numpy(case["in"]["k18"]).double()
    people[..., :2] /= args["stride"]
    size = (args["H"] // args["stride"], args["W"] // args["stride"])
    fields = affinity_fields(people, LIMBS, size)
    assert fields.shape == (19, 2, *size)
    total, squares = fields.sum().item(), fields.square().sum().item()
    assert (total, squares) == pytest.approx(args["checksum_paf"][:2], rel=1e-6)


def test_the_field_of_one_limb() -> None:
    person = torch.tensor([[[2.0, 3.0, 2.0], [6.0, 3.0, 2.0], [0.0, 0.0, 0.0]]])
    fields = affinity_fields(person, ((0, 1), (1, 0), (1, 2)), (8, 10))
    assert torch.nonzero(fields[0, 0])[:, 0].unique().tolist() == [3]  # the rows above and below are one width away
    assert torch.nonzero(fields[0, 0])[:, 1].tolist() == [1, 2, 3, 4, 5, 6]
    assert fields[0, 0].max() == 1 and not fields[0, 1].any()
    assert torch.equal(fields[1], -fields[0])
    assert not fields[2].any()
