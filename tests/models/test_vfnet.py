"""The star of VarifocalNet against features read off by hand; the network itself is in test_goldens.py."""

import itertools

import numpy as np
import pytest
import torch

from detforge.models.heads.vfnet import StarConv, VFNetHead, star_offsets

LANDMARKS = list(itertools.product((-2, 0, 1), (-1, 0, 3)))  # (top, middle, bottom) x (left, middle, right)


@pytest.mark.parametrize("tap", range(9))
def test_every_tap_reads_its_landmark(tap: int) -> None:
    """A box that reaches 1 cell left, 2 up, 3 right and 1 down from every point; outside the map all is 0."""
    x = torch.rand(1, 2, 5, 7, generator=torch.Generator().manual_seed(0))
    conv = StarConv(2)
    with torch.inference_mode():
        conv.weight.zero_()
        conv.weight[:, :, tap // 3, tap % 3] = torch.eye(2)
        got = conv(x, star_offsets(torch.tensor([1.0, 2.0, 3.0, 1.0])[None, :, None, None].expand(1, 4, 5, 7)))
    dy, dx = LANDMARKS[tap]
    expected = np.zeros((2, 5, 7), np.float32)
    for row, column in itertools.product(range(5), range(7)):
        if 0 <= row + dy < 5 and 0 <= column + dx < 7:
            expected[:, row, column] = x[0, :, row + dy, column + dx]
    np.testing.assert_allclose(got[0].numpy(), expected, atol=1e-6)


def test_offsets_differ_from_point_to_point() -> None:
    sides = torch.rand(2, 4, 3, 5, generator=torch.Generator().manual_seed(1)).double() * 9
    offsets = star_offsets(sides).numpy()
    assert offsets.shape == (2, 18, 3, 5)
    for n, row, column in itertools.product(range(2), range(3), range(5)):
        left, top, right, bottom = sides[n, :, row, column].tolist()
        landmarks = np.array(list(itertools.product((-top, 0.0, bottom), (-left, 0.0, right))))
        regular = np.array(list(itertools.product((-1, 0, 1), (-1, 0, 1))))
        np.testing.assert_allclose(offsets[n, :, row, column], (landmarks - regular).ravel(), atol=1e-12)


def test_huge_boxes_stay_finite_in_half_precision() -> None:
    assert star_offsets(torch.full((1, 4, 1, 1), torch.inf)).half().isfinite().all()


def test_refinement_multiplies_the_first_box() -> None:
    """With all weights zero both predictions are their biases: exp(bias) * 8 strides, times exp(bias)."""
    head = VFNetHead(3, 16, stacked=1, strides=(8, 16))
    with torch.inference_mode():
        for parameter in head.parameters():
            parameter.zero_()
        for scale in (*head.scales, *head.scales_refine):
            scale.scale.fill_(2.0)
        head.vfnet_reg.bias.copy_(torch.tensor([-1.0, -0.5, 0.0, 0.5]))
        head.vfnet_reg_refine.bias.fill_(0.25)
        outputs = head.decode(head([torch.rand(1, 16, 2, 3), torch.rand(1, 16, 1, 2)]))
    points = [(8 * x, 8 * y, 8) for y in range(2) for x in range(3)] + [(0, 0, 16), (16, 0, 16)]
    left, top, right, bottom = np.exp(2 * np.array([-1.0, -0.5, 0.0, 0.5])) * np.exp(2 * 0.25) * 8
    expected = [(x - left * s, y - top * s, x + right * s, y + bottom * s) for x, y, s in points]
    np.testing.assert_allclose(outputs["boxes"][0].numpy(), expected, rtol=1e-5)
    np.testing.assert_allclose(outputs["scores"].numpy(), np.full((1, 8, 3), 0.5))
