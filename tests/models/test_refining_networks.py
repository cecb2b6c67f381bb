"""CCM, RePose and HintPose, of which no numbers are published: their new parts written once more, in float64."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from detforge.deploy.inputs.crop import Crop
from detforge.deploy.inputs.network_inputs import PoseInput, View
from detforge.deploy.system.errors import InputError, UsageError
from detforge.models.checkpoint import random_model
from detforge.models.heads.context_mixer import ContextMixer
from detforge.models.heads.repose import EDGES, KinematicUpdate
from detforge.models.skeletons import COCO_PERSON
from detforge.models.zoo import find

Values = np.ndarray[Any, np.dtype[np.float64]]


def convolved(x: Values, conv: nn.Conv2d) -> Values:
    """A convolution (c, h, w) of stride 1, tap by tap."""
    weight = conv.weight.detach().double().numpy()
    out = np.zeros((len(weight), *x.shape[1:]))
    if conv.bias is not None:
        out += conv.bias.detach().double().numpy()[:, None, None]
    rate, reach = conv.dilation[0], weight.shape[2] // 2
    padded = np.pad(x, ((0, 0), *[(reach * rate, reach * rate)] * 2))
    for v in range(weight.shape[2]):
        for u in range(weight.shape[3]):
            window = padded[:, v * rate :, u * rate :][:, : x.shape[1], : x.shape[2]]
            out += np.einsum("oc,chw->ohw", weight[:, :, v, u], window)
    return out


def normed(x: Values, norm: nn.BatchNorm2d) -> Values:
    mean, var, scale, shift = (
        value.detach().double().numpy()[:, None, None]
        for value in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    return (x - mean) / np.sqrt(var + norm.eps) * scale + shift


def lively(module: nn.Module, seed: int) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in module.state_dict().values():
            if value.is_floating_point():
                value.copy_(0.5 + torch.rand(value.shape, generator=generator) - 0.3 * (value.ndim > 1))
    return module.eval()


def test_context_of_channels_and_space_is_mixed() -> None:
    mixer = lively(ContextMixer(8), 0)
    assert isinstance(mixer, ContextMixer)
    x = np.random.default_rng(0).normal(size=(8, 7, 9))
    squeeze = mixer.across_channels
    mean = x.mean((1, 2), keepdims=True)
    gate = convolved(np.maximum(convolved(mean, squeeze.conv1.conv), 0), squeeze.conv2.conv)
    parts = [x / (1 + np.exp(-gate))]
    parts += [np.maximum(normed(convolved(x, branch[0]), branch[1]), 0) for branch in mixer.across_space]
    expected = np.maximum(x + normed(convolved(np.concatenate(parts), mixer.mix[0]), mixer.mix[1]), 0)
    found = mixer(torch.from_numpy(x)[None].float()).detach()
    np.testing.assert_allclose(found[0], expected, rtol=1e-4, atol=1e-4)


def test_keypoints_are_updated_along_the_tree() -> None:
    """From the limbs to the root and back, each step from what the steps before have left."""
    edges = ((0, 1), (1, 2), (1, 3))
    update = KinematicUpdate(edges, 2, times=2)
    generator = torch.Generator().manual_seed(1)
    for conv in update.convs:
        nn.init.normal_(conv.weight, 0.0, 0.2, generator=generator)
    x = np.random.default_rng(1).normal(size=(4, 2, 5, 6))
    parts = list(x)
    steps = [(3, 1), (2, 1), (1, 0), (0, 1), (1, 2), (1, 3)]
    for _ in range(2):
        for (source, target), conv in zip(steps, update.convs, strict=True):
            seen = np.concatenate((parts[source], parts[target]))
            parts[target] = np.maximum(parts[target] + convolved(seen, conv), 0)
    found = update(torch.from_numpy(x)[None].float()).detach()
    np.testing.assert_allclose(found[0], parts, atol=1e-4)


def test_the_tree_is_coco_s_body() -> None:
    """Every keypoint but the root is reached once, after its parent, and left and right alike."""
    assert [child for _, child in EDGES] and sorted(child for _, child in EDGES) == list(range(1, 17))
    reached = {0}
    for parent, child in EDGES:
        assert parent in reached
        reached.add(child)
    swap = COCO_PERSON.mirrored()
    assert {(swap[a], swap[b]) for a, b in EDGES} == set(EDGES)
    with pytest.raises(InputError, match="and not 3"):
        find("repose_test").build(3)


def test_maps_return_for_the_next_hop() -> None:
    network = random_model(find("hintpose_test")).eval().double()
    generator = torch.Generator().manual_seed(2)
    image = torch.randn((1, 3, 96, 64), generator=generator, dtype=torch.float64)
    cue = torch.rand((1, 1, 96, 64), generator=generator, dtype=torch.float64)
    first, _, second = network.feedback
    with torch.inference_mode():
        stem = network.backbone.stem(torch.cat((image, cue), 1))
        maps = network.head(network.backbone.levels(stem))
        one = maps.clone()
        for _ in range(2):
            hidden = np.maximum(convolved(maps[0].numpy(), first), 0)
            feedback = torch.from_numpy(convolved(hidden, second))[None]
            maps = network.head(network.backbone.levels(stem + feedback))
        found = network(image, cue)["heatmaps"]
        np.testing.assert_allclose(found, maps.float(), atol=1e-5)
        assert (found - one).abs().max() > 1e-3
        assert (network(image, torch.zeros_like(cue))["heatmaps"] - found).abs().max() > 1e-3


def test_the_cue_is_the_best_keypoint() -> None:
    entry = PoseInput(tuple(COCO_PERSON.mirrored()), 2.0, keypoints="best")
    frame = Crop((40, 30)).whole((40, 30))
    pose = np.zeros((17, 3), np.float32)
    pose[4], pose[9] = (5, 6, 0.5), (20, 31, 0.9)
    views = [View(np.zeros((40, 30, 3), np.uint8), frame, keypoints=each) for each in (pose, np.zeros_like(pose))]
    maps = np.ones((2, *entry.shape((40, 30))), np.float32)
    assert maps.shape == (2, 1, 40, 30)
    entry.fill(maps, views, 1)
    y, x = np.mgrid[:40, :30]
    u, v = frame.to_canvas(pose[9, :2])
    np.testing.assert_allclose(maps[0, 0], np.exp(-((x - u) ** 2 + (y - v) ** 2) / 8), atol=1e-6)
    assert not maps[1].any()  # nothing was found
    np.testing.assert_array_equal(entry.mirrored(maps), maps[..., ::-1])
    with pytest.raises(UsageError, match="17 keypoints"):
        entry.fill(maps[:1], [View(views[0].image, frame, keypoints=pose[:3])], 1)
