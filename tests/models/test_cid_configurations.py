"""Configurations of CID: the zoo's network, which agrees with the framework's numbers, and refusals by key."""

import copy
from functools import partial
from typing import Any

import pytest
import torch
from small_configs import COCO_META, bottom_up_new, tuples

from detforge.models.backbones.hrnet import HRNet
from detforge.models.checkpoint import Checkpoint, fits
from detforge.models.config.text import ConfigError, Text
from detforge.models.config.variant import describe
from detforge.models.zoo import cid, find


def config(width: int = 8, size: int = 512, **test: Any) -> dict[str, Any]:
    head = {"type": "CIDHead", "gfd_channels": 8, "prior_prob": 0.01, "contrastive_loss": {"type": "InfoNCELoss"}}
    modules = {"modules": (1, 1, 1)}
    return bottom_up_new(head, {"type": "DecoupledHeatmap"}, test, width=width, size=size, **modules)


def described(keys: dict[str, Any], meta: dict[str, Any] = COCO_META) -> Any:
    return describe(Text(tuples(keys), {}), meta).variant


@pytest.mark.parametrize("flip", [False, True])
def test_networks_are_the_zoos(flip: bool) -> None:
    variant, zoo = described(config(flip_test=flip)), find("cid_hrnet_w32")
    assert (variant.form, variant.input.place.size) == (zoo.form, zoo.input.place.size)
    assert (variant.classes_key, variant.fusion, variant.skeleton) == (zoo.classes_key, zoo.fusion, zoo.skeleton)
    torch.manual_seed(0)
    ours = variant.build(17).eval()
    theirs = cid.build(17, backbone=partial(HRNet, 8, modules=(1, 1, 1), outputs=4), channels=8, flip=flip).eval()
    theirs.load_state_dict(ours.state_dict())
    image = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        found, expected = ours(image), theirs(image)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)


def test_weights_before_mmpose_1_have_their_place() -> None:
    old = {"iia_module.keypoint_root_conv": "keypoint_center_conv", "gfd_module.channel_attention": "c_attn"}
    old |= {"gfd_module.spatial_attention": "s_attn", "gfd_module.fuse_attention": "fuse_attn"}
    old |= {"gfd_module.conv_down": "conv_down", "gfd_module.heatmap_conv": "heatmap_conv", "^head.": "keypoint_head."}
    variant, state = described(config()), {}
    for key, value in variant.build(17).state_dict().items():
        name = f"^{key}"
        for new, before in old.items():
            name = name.replace(new, before)
        state[name.removeprefix("^")] = value
    assert fits(variant, Checkpoint(state, "cid.pth", None, None))
    state["keypoint_head.extra.weight"] = torch.zeros(1)
    assert not fits(variant, Checkpoint(state, "cid.pth", None, None))


def changed(path: str, value: Any) -> dict[str, Any]:
    keys = copy.deepcopy(config(flip_test=True))
    below = keys["model"]
    *above, last = path.split(".")
    for key in above:
        below = below[key]
    below[last] = value
    return keys


def test_limits_of_people() -> None:
    keys = changed("test_cfg.max_instances", 5)
    keys["model"]["test_cfg"]["score_threshold"] = 0.2
    variant = described(keys)
    assert (variant.build(17).head.people, variant.form.least_centre) == (5, 0.2)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("head.decoder.type", "SPR", r"decoder\.type is 'SPR'; supported: DecoupledHeatmap"),
        ("head.decoder.heatmap_size", (64, 64), r"heatmap_size is \(64, 64\); supported: \(128, 128\)"),
        ("head.num_keypoints", 4, r"num_keypoints is 4; supported: 17, COCO's keypoints, with flip_test"),
        ("test_cfg.blur_kernel_size", 5, r"blur_kernel_size is 5; supported: 3"),
        ("head.gfd_channels", 0, r"gfd_channels is 0; supported: a whole number"),
        ("head.mystery", 1, r"model\.head\.mystery is 1"),
    ],
)
def test_keys_that_are_not_supported_are_named(path: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        described(changed(path, value))


def test_other_pairs_are_refused_with_a_flip_test() -> None:
    meta = {"dataset_meta": COCO_META["dataset_meta"] | {"flip_indices": list(range(17))}}
    with pytest.raises(ConfigError, match="meta has other flip_indices than COCO's"):
        described(config(flip_test=True), meta)
    assert described(config(flip_test=False), meta).skeleton.pairs == ()
