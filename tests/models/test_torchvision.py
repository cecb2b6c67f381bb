"""Detectors of torchvision against its anchors, boxes, images and names of weights."""

import numpy as np
import pytest
import torch
from golden.reader import load_ops, rng

from detforge.models.anchors import FittedAnchors
from detforge.models.checkpoint import Checkpoint, fits
from detforge.models.coders import deltas_to_boxes
from detforge.models.heads.fitted_fcos import FittedFCOSHead
from detforge.models.zoo import VARIANTS, torchvision, torchvision_rcnn

CASES = {case["name"]: case for case in load_ops("torchvision")}
LEVELS = [(12, 20), (6, 10), (3, 5), (2, 3), (1, 2)]  # of 96x160 px: the coarsest steps are 48x53 and 96x80 px


def test_anchors_and_boxes_of_retinanet() -> None:
    anchors = torchvision._ANCHORS(LEVELS, torch.zeros(1, 1, 4))
    expected = torch.from_numpy(CASES["retinanet"]["out"]["anchors"])
    corners = torch.cat((anchors[:, :2] - anchors[:, 2:] / 2, anchors[:, :2] + anchors[:, 2:] / 2), 1)
    torch.testing.assert_close(corners, expected, rtol=0, atol=0)
    deltas = torch.from_numpy(rng("deltas").standard_normal((len(anchors), 4)).astype(np.float32))
    boxes = torch.from_numpy(CASES["retinanet"]["out"]["boxes"])
    torch.testing.assert_close(deltas_to_boxes(deltas[None], anchors)[0], boxes, rtol=1e-5, atol=1e-3)


def test_boxes_of_fcos() -> None:
    head = FittedFCOSHead(2, 32, stacked=1)
    expected = torch.from_numpy(CASES["fcos"]["out"]["boxes"])
    sides = torch.from_numpy(rng("sides").uniform(0, 3, (len(expected), 4)).astype(np.float32))
    maps = [x.T.reshape(1, 4, *size) for x, size in zip(sides.split([h * w for h, w in LEVELS]), LEVELS, strict=True)]
    logits = {
        "sides": maps,
        "classes": [torch.zeros(1, 2, *size) for size in LEVELS],
        "quality": [torch.zeros(1, 1, *size) for size in LEVELS],
    }
    torch.testing.assert_close(head.decode(logits)["boxes"][0], expected, rtol=1e-6, atol=1e-4)


def test_the_sizes_of_anchors_are_whole_numbers() -> None:
    assert torchvision._ANCHORS.sizes[2] == (128, 161, 203)
    assert isinstance(torchvision._ANCHORS, FittedAnchors)


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("image")])
def test_images_are_resized_as_torchvision_does(name: str) -> None:
    case = CASES[name]
    height, width = case["args"]["size"]
    image = rng("photo").integers(0, 256, (height, width, 3)).astype(np.uint8)
    spec = torchvision.VARIANTS[0].input.placed(size=(80, 133))
    frame = spec.place.whole((height, width))
    assert list(frame.resized_size) == case["args"]["resized"]
    canvas = np.empty((3, *frame.canvas_size), np.float32)
    frame.fill(canvas, image, spec.pixels, 1)
    np.testing.assert_allclose(canvas[:, ::3, ::3], case["out"]["image"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", [name.removeprefix("state_") for name in CASES if name.startswith("state_")])
def test_weights_are_found_by_their_names_and_shapes(name: str) -> None:
    state = {key: torch.empty(shape, device="meta") for key, shape in CASES[f"state_{name}"]["args"]["state"].items()}
    old = {_before_0_13(key): value for key, value in state.items()}
    for weights in (state, old):
        found = [one for one, variant in VARIANTS.items() if fits(variant, Checkpoint(weights, name, None, None))]
        assert found == [name]


def _before_0_13(key: str) -> str:
    """The names of layers in older checkpoints."""
    key = key.replace("rpn.head.conv.0.0.", "rpn.head.conv.")
    if "_blocks" in key and ".0." in key:
        return key.replace(".0.", ".")
    return key


def test_older_towers_are_lists_of_convolutions_and_relus() -> None:
    name = "retinanet_r50_torchvision"
    state = {key: torch.empty(shape, device="meta") for key, shape in CASES[f"state_{name}"]["args"]["state"].items()}
    for i in (3, 2, 1, 0):
        for kind in ("weight", "bias"):
            for branch in ("classification", "regression"):
                value = state.pop(f"head.{branch}_head.conv.{i}.0.{kind}")
                state[f"head.{branch}_head.conv.{2 * i}.{kind}"] = value
    assert fits(VARIANTS[name], Checkpoint(state, name, None, None))


def test_only_torchvisions_own_weights_have_no_eps() -> None:
    with torch.device("meta"):
        eps = [torchvision.build_retinanet(classes).backbone.bn1.eps for classes in (91, 90)]
        # Its last layers have a row for the background too.
        eps += [torchvision_rcnn.build(classes).backbone.bn1.eps for classes in (90, 91)]
        eps += [torchvision_rcnn.build(classes, keypoints=17).backbone.bn1.eps for classes in (1, 2)]
    assert eps == [0.0, 1e-5] * 3
