"""What the goldens do not show of the heads of pose networks: how their maps become outputs."""

import numpy as np
import pytest
import torch

from detforge.models.checkpoint import random_model
from detforge.models.heads.associative import AssociativeHead, HigherHead
from detforge.models.heads.heatmap import OffsetHead, VotingHead
from detforge.models.zoo import VARIANTS

POSE = [variant for variant in VARIANTS.values() if variant.form.has_keypoints]
VGG = ("openpose_test", "openpose25_test")  # slow in half precision


def doubled(row: np.ndarray, spacing: bool) -> np.ndarray:
    """A row of numbers, twice as many, linear between them."""
    count = len(row)
    places = np.arange(2 * count)
    at = places * (count - 1) / (2 * count - 1) if spacing else (places + 0.5) / 2 - 0.5
    return np.interp(at, np.arange(count), row)


@pytest.mark.parametrize("spacing", [False, True])
def test_two_stages_meet_in_the_size_of_the_second(spacing: bool) -> None:
    draw = np.random.default_rng(0)
    first, second = draw.normal(size=(2, 6, 4, 5)), draw.normal(size=(2, 3, 8, 10))
    larger = np.apply_along_axis(doubled, 3, np.apply_along_axis(doubled, 2, first, spacing), spacing)
    head = HigherHead(3, 4, blocks=0, spacing=spacing)
    outputs = head.decode([torch.from_numpy(first).half().float(), torch.from_numpy(second)])
    assert {name: value.dtype for name, value in outputs.items()} == dict.fromkeys(("heatmaps", "tags"), torch.float32)
    np.testing.assert_allclose(outputs["heatmaps"], (larger[:, :3] + second) / 2, atol=2e-3)
    np.testing.assert_allclose(outputs["tags"], larger[:, 3:], atol=2e-3)


def test_channels_by_keypoint_or_by_kind() -> None:
    maps = torch.arange(12.0).half().reshape(2, 6, 1, 1)
    offset, tag = OffsetHead(2, 4, ()).decode(maps), AssociativeHead(3, 4, ()).decode(maps)
    assert offset["heatmaps"].flatten().tolist() == [0, 3, 6, 9]
    assert offset["offsets"].flatten().tolist() == [1, 2, 4, 5, 7, 8, 10, 11]
    assert tag["heatmaps"].flatten().tolist() == [0, 1, 2, 6, 7, 8]
    assert tag["tags"].flatten().tolist() == [3, 4, 5, 9, 10, 11]
    assert all(value.dtype == torch.float32 for value in (offset | tag).values())


def test_votes_lie_in_the_crop() -> None:
    """A level's pixels are 8 px apart, the first and the last where those of the crop are."""
    maps = np.random.default_rng(0).normal(size=(1, 6, 3, 2))
    y, x = np.arange(17) / 8, np.arange(9) / 8
    larger = np.apply_along_axis(lambda row: np.interp(y, range(3), row), 2, maps)
    larger = np.apply_along_axis(lambda row: np.interp(x, range(2), row), 3, larger).reshape(1, 2, 3, 17, 9)
    outputs = VotingHead(2, 4, ()).decode(torch.from_numpy(maps))
    np.testing.assert_allclose(outputs["heatmaps"], 1 / (1 + np.exp(-larger[:, :, 0])), atol=1e-6)
    np.testing.assert_allclose(outputs["offsets"], larger[:, :, 1:], atol=1e-6)


@pytest.mark.parametrize("variant", POSE, ids=lambda variant: variant.name)
def test_every_network_has_as_many_keypoints_as_its_skeleton(variant) -> None:
    with torch.device("meta"):
        network = variant.build(variant.classes)
    assert variant.count_classes(network.get_parameter(variant.classes_key)) == variant.classes


@pytest.mark.parametrize(
    "variant",
    [pytest.param(v, marks=pytest.mark.long if v.name in VGG else ()) for v in POSE if v.name.endswith("_test")],
    ids=lambda variant: variant.name,
)
def test_outputs_are_single_precision_whatever_the_trunk(variant) -> None:
    network = random_model(variant)
    generator = torch.Generator().manual_seed(0)
    canvas = variant.input.place.size or (64, 64)
    shapes = [(2, 3, *canvas), *((2, *each.shape(canvas)) for each in variant.other_inputs)]
    inputs = [torch.randn(shape, generator=generator) for shape in shapes]
    with torch.inference_mode():
        exact, rough = network(*inputs), network.half()(*inputs)
    peaks = {output.name for output in variant.form.outputs if output.compare == "place"}  # their order may change
    for name, value in rough.items():
        assert (value.dtype, value.shape) == (exact[name].dtype, exact[name].shape)
        if name not in peaks:
            np.testing.assert_allclose(value, exact[name], rtol=1e-3, atol=0.02 * float(exact[name].std()))
