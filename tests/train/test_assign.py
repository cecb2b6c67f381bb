"""Assigners against those of OpenMMLab and of TTFNet's authors; ATSS also against a naive version of the paper."""

from typing import Any

import numpy as np
import pytest
import torch
from golden.reader import load_ops
from torch import Tensor

from detforge.models.points import grid_points
from detforge.train.assign import BACKGROUND, IGNORED
from detforge.train.assign.atss import atss
from detforge.train.assign.autoassign import center_priors
from detforge.train.assign.fcos import distances, fcos
from detforge.train.assign.gaussians import corner_radius, corner_targets, draw_gaussian
from detforge.train.assign.max_iou import max_iou
from detforge.train.assign.ttf import ttf_targets
from detforge.train.boxes import boxes_to_deltas
from detforge.train.losses.quality import centerness

STRIDES = (8, 16, 32)
SIZES = [(12, 12), (6, 6), (3, 3)]


def box_iou(a: np.ndarray, b: np.ndarray) -> float:
    w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h
    return w * h / union


def naive(points: np.ndarray, strides: np.ndarray, objects: np.ndarray) -> list[int]:
    owner, overlap = [-1] * len(points), [-1.0] * len(points)
    for g, box in enumerate(objects):
        centre = (box[:2] + box[2:]) / 2
        candidates: list[int] = []
        for stride in STRIDES:
            level = [i for i in range(len(points)) if strides[i] == stride]
            level.sort(key=lambda i: np.hypot(*(points[i] - centre)))
            candidates += level[:9]
        ious = [
            box_iou(np.concatenate((points[i] - 4 * strides[i], points[i] + 4 * strides[i])), box) for i in candidates
        ]
        threshold = np.mean(ious) + np.std(ious, ddof=1)
        for i, value in zip(candidates, ious, strict=True):
            x, y = points[i]
            inside = min(x - box[0], y - box[1], box[2] - x, box[3] - y) > 0.01
            if value >= threshold and inside and value > overlap[i]:
                owner[i], overlap[i] = g, value
    return owner


def test_equals_the_naive_assignment() -> None:
    rng = np.random.default_rng(3)
    points, strides = grid_points(SIZES, STRIDES, torch.zeros(1))
    for _ in range(20):
        corner, size = rng.uniform(0, 60, (4, 2)), rng.uniform(6, 60, (4, 2))
        objects = np.concatenate((corner, corner + size), 1)
        anchors = torch.cat((points - 4 * strides, points + 4 * strides), 1)
        found = atss(anchors, [h * w for h, w in SIZES], torch.from_numpy(objects).float())
        assert found.tolist() == naive(points.double().numpy(), strides[:, 0].numpy(), objects)


def max_iou_reference(case: dict[str, Any]) -> tuple[Tensor, Tensor]:
    x, args = tensors(case), case["args"]
    best = None if args.get("match_low_quality") is False else args["min_pos_iou"]
    options = {"ties": args.get("gt_max_assign_all", True), "crowds": x.get("ignore")}
    found = max_iou(x["priors"], x["gt_bboxes"], args["pos_iou_thr"], args["neg_iou_thr"], best, **options)
    return found, numbered(case)


def atss_reference(case: dict[str, Any]) -> tuple[Tensor, Tensor]:
    x, args = tensors(case), case["args"]
    return atss(x["priors"], args["num_level_priors"], x["gt_bboxes"], args["topk"]), numbered(case)


def tensors(case: dict[str, Any], side: str = "in") -> dict[str, Tensor]:
    return {name: torch.from_numpy(value) for name, value in case[side].items()}


def numbered(case: dict[str, Any]) -> Tensor:
    """mmdet's numbers as ours: there 0 is the background, -1 ignored and the first object 1."""
    found = tensors(case, "out")["gt_inds"]
    return torch.where(found == 0, BACKGROUND, torch.where(found == -1, IGNORED, found - 1))


GOLDENS = {case["name"]: case for case in load_ops("assigners")}


@pytest.mark.parametrize("name", [name for name in GOLDENS if name.startswith(("max_iou", "atss"))])
def test_equals_mmdet(name: str) -> None:
    found, expected = (max_iou_reference if name.startswith("max_iou") else atss_reference)(GOLDENS[name])
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize("name", ["fcos_targets_plain", "fcos_targets_norm_center"])
def test_fcos_equals_mmdet(name: str) -> None:
    x, args, out = tensors(GOLDENS[name]), GOLDENS[name]["args"], tensors(GOLDENS[name], "out")
    sizes = [(8, 8), (4, 4), (2, 2)]
    counts = [h * w for h, w in sizes]
    points, strides = grid_points(sizes, args["strides"], torch.zeros(1), 0.5)
    limits = [high for _, high in args["regress_ranges"]]
    radius = args["center_sample_radius"] if args["center_sampling"] else None
    found: list[list[Tensor]] = [[], [], []]
    for image in "01":
        objects, labels = x[f"gt_bboxes{image}"], x[f"gt_labels{image}"]
        index = fcos(points, strides, counts, objects, limits, radius)
        label = torch.where(index >= 0, labels[index.clamp(min=0)], args["num_classes"])
        sides = distances(points, objects[index.clamp(min=0)])
        sides = sides / strides if args["norm_on_bbox"] else sides
        for level, (one, ltrb) in enumerate(zip(label.split(counts), sides.split(counts), strict=True)):
            found[level].append(torch.cat((one[:, None], ltrb), 1))
    for level, parts in enumerate(found):
        both = torch.cat(parts)
        positive = both[:, 0] < args["num_classes"]
        assert both[:, 0].tolist() == out[f"labels/{level}"].tolist()
        torch.testing.assert_close(both[positive, 1:], out[f"bbox_targets/{level}"][positive])
        torch.testing.assert_close(centerness(both[positive, 1:]), out[f"centerness_of_pos/{level}"])


@pytest.mark.parametrize(("name", "inclusive"), [("encode_delta", False), ("encode_legacy", True)])
def test_deltas_equal_mmdet(name: str, inclusive: bool) -> None:
    x, out = tensors(GOLDENS[name]), tensors(GOLDENS[name], "out")
    low, high = x["priors"].split(2, 1)
    priors = torch.cat(((low + high) / 2, high - low + inclusive), 1)
    deltas = boxes_to_deltas(x["gt"], priors, (0.1, 0.1, 0.2, 0.2), inclusive)
    torch.testing.assert_close(deltas, out["deltas"], atol=1e-5, rtol=1e-5)


def test_corner_targets_equal_mmdet() -> None:
    case = GOLDENS["cornernet_targets"]
    x, out = tensors(case), tensors(case, "out")
    # It was given an image 3 px high, so that its maps are 32 / 3 times as high as the image, and corners lie below.
    objects = x["gt_bboxes"] * torch.tensor([1, 128 / 3, 1, 128 / 3])
    heat, offsets = corner_targets(objects, x["gt_labels"], 3, (32, 32), 4)
    for i, corner in enumerate(("topleft", "bottomright")):
        torch.testing.assert_close(heat[i], out[f"{corner}_heatmap"][0])
        torch.testing.assert_close(offsets[i], out[f"{corner}_offset"][0])


def test_corner_targets_of_a_known_box() -> None:
    heat, offsets = corner_targets(torch.tensor([[9.0, 6, 33, 30]]), torch.tensor([1]), 2, (12, 12), 4)
    assert [torch.nonzero(one == 1).tolist() for one in heat] == [[[1, 1, 2]], [[1, 7, 8]]]  # class, row, column
    assert offsets[0, :, 1, 2].tolist() == pytest.approx([0.25, 0.5])
    assert offsets[1, :, 7, 8].tolist() == pytest.approx([0.25, 0.5])


@pytest.mark.parametrize("overlap", [0.3, 0.7])
def test_corner_radius_equals_mmdet(overlap: float) -> None:
    case = GOLDENS[f"gaussian_radius_{overlap}"]
    found = [corner_radius(width, height, overlap) for height, width in case["in"]["det_hw"].tolist()]
    assert found == pytest.approx(case["out"]["radius"].tolist(), rel=1e-5)


def test_gaussians_equal_mmdet() -> None:
    case = GOLDENS["gen_gaussian_target"]
    heat = torch.zeros(12, 15)
    for centre, radius, height in zip(*(case["args"][key] for key in ("centers_xy", "radius", "k")), strict=True):
        draw_gaussian(heat, centre, (radius, radius), height)
    torch.testing.assert_close(heat, torch.from_numpy(case["out"]["heatmap"]))


@pytest.mark.parametrize("name", ["ttf_target_default", "ttf_target_beta"])
def test_ttf_equals_its_authors(name: str) -> None:
    case = GOLDENS[name]
    x, out = tensors(case), tensors(case, "out")
    options = (case["args"]["alpha"], case["args"]["beta"])
    heat, boxes, weights = ttf_targets(x["gt_bboxes"], x["gt_labels"] - 1, 3, (32, 32), *options)
    torch.testing.assert_close(heat, out["heatmap"][0])
    torch.testing.assert_close(boxes, out["box_target"][0])
    torch.testing.assert_close(weights, out["reg_weight"][0, 0])


def test_priors_of_objects_between_the_points() -> None:
    points, strides = grid_points([(4, 4)], [8], torch.zeros(1))
    objects = torch.tensor([[1.0, 1, 3, 3], [0.5, 0.5, 20, 20]])
    mean, sigma = torch.zeros(2, 2), torch.ones(2, 2)
    priors, inside = center_priors(points, strides, objects, torch.tensor([0, 1]), mean, sigma)
    assert inside.sum(0).tolist() == [9, 4]
    assert priors[0, 0].item() == pytest.approx(np.exp(-(0.25**2)))  # its centre is a quarter of a stride away
    assert (priors[~inside] == 0).all()


def test_a_crowd_is_ignored_even_without_objects() -> None:
    anchors = torch.tensor([[0.0, 0, 8, 8], [20.0, 20, 28, 28]])
    crowd = torch.tensor([[0.0, 0, 10, 10]])
    assert max_iou(anchors, torch.zeros(0, 4), crowds=crowd).tolist() == [IGNORED, BACKGROUND]


def test_an_image_without_objects_is_background() -> None:
    points, strides = grid_points(SIZES, STRIDES, torch.zeros(1))
    anchors, sizes, none = torch.cat((points - 4, points + 4), 1), [h * w for h, w in SIZES], torch.zeros(0, 4)
    assert (atss(anchors, sizes, none) == BACKGROUND).all()
    assert (max_iou(anchors, none) == BACKGROUND).all()
    assert (fcos(points, strides, sizes, none, (24, 40, 1e8)) == BACKGROUND).all()
    priors, inside = center_priors(points, strides, none, torch.zeros(0, dtype=torch.long), *torch.ones(2, 1, 2))
    assert priors.shape == inside.shape == (len(points), 0)
    heat, boxes, weights = ttf_targets(none, torch.zeros(0, dtype=torch.long), 2, (4, 4))
    assert not heat.any() and not weights.any() and (boxes == -1).all()
