"""Configurations of DEKR: the zoo's networks, which agree with the framework's numbers, and refusals by key."""

import copy
from typing import Any

import pytest
import torch
from small_configs import COCO_META, bottom_up_new, tuples

from detforge.models.config.text import ConfigError, Text
from detforge.models.config.variant import describe
from detforge.models.zoo import find


def config(width: int = 32, size: int = 512, **modules: Any) -> dict[str, Any]:
    codec = {"type": "SPR", "sigma": (4, 2), "minimal_diagonal_length": 5.66, "decode_max_instances": 30}
    head = {"type": "DEKRHead", "rescore_cfg": {"in_channels": 74, "norm_indexes": (5, 6)}}
    head |= {"heatmap_loss": {"type": "KeypointMSELoss"}, "displacement_loss": {"type": "SoftWeightSmoothL1Loss"}}
    test = {"flip_test": True, "nms_dist_thr": 0.05, "shift_heatmap": True}
    return bottom_up_new(head, codec | {"generate_keypoint_heatmaps": True}, test, width=width, size=size, **modules)


def described(keys: dict[str, Any], meta: dict[str, Any] = COCO_META) -> Any:
    return describe(Text(tuples(keys), {}), meta).variant


@pytest.mark.slow
@pytest.mark.parametrize(("name", "keys"), [("dekr_hrnet_w32", config()), ("dekr_hrnet_w48_640", config(48, 640))])
def test_models_are_what_their_configuration_describes(name: str, keys: dict[str, Any]) -> None:
    variant, ours = find(name), described(keys)
    with torch.device("meta"):
        ours_of, theirs = ({k: v.shape for k, v in each.build(17).state_dict().items()} for each in (ours, variant))
    assert ours_of == theirs
    assert ours.input == variant.input
    assert (ours.form, ours.fusion, ours.skeleton) == (variant.form, variant.fusion, variant.skeleton)
    assert ours.classes_key == variant.classes_key and set(variant.unused) <= set(ours.unused)
    assert ours.suppress.max_det >= 30


SMALL = config(8, modules=(1, 1, 1))


def changed(path: str, value: Any) -> dict[str, Any]:
    keys = copy.deepcopy(SMALL)
    below = keys["model"]
    *above, last = path.split(".")
    for key in above:
        below = below[key]
    below[last] = value
    return keys


def test_without_a_flip_test_and_suppression() -> None:
    form = described(changed("test_cfg", {"output_heatmaps": True})).form
    assert (form.flip, form.nearby, form.shift, form.shift_displacements) == (False, 0.0, 0.0, 0.0)
    form = described(changed("test_cfg.shift_heatmap", False)).form
    assert (form.flip, form.shift, form.shift_displacements) == (True, 0.0, 0.75)
    assert described(changed("head.rescore_cfg", None)).build(17).head.rescore_net is None


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("head.decoder.generate_keypoint_heatmaps", False, r"generate_keypoint_heatmaps is False; supported: True"),
        ("head.decoder.heatmap_size", (64, 64), r"decoder\.heatmap_size is \(64, 64\); supported: \(128, 128\)"),
        ("head.decoder.decode_nms_kernel", 4, r"decode_nms_kernel is 4; supported: an odd number"),
        ("head.decoder.input_size", (0, 512), r"decoder\.input_size is \(0, 512\); supported: sides of 1"),
        ("head.decoder.type", "DecoupledHeatmap", r"decoder\.type is 'DecoupledHeatmap'; supported: SPR"),
        ("head.rescore_cfg.in_channels", 75, r"rescore_cfg\.in_channels is 75; supported: 17 and 3 for each link"),
        ("head.rescore_cfg.in_channels", 71, r"rescore_cfg is for 18 links and meta has 19"),
        ("head.rescore_cfg.norm_indexes", (5, 19), r"norm_indexes is \(5, 19\); supported: two of 19 links"),
        ("head.in_channels", 8, r"model\.head\.in_channels is 8; supported: 120"),
        ("head.mystery", 8, r"model\.head\.mystery is 8"),
        ("test_cfg.multiscale_test", True, r"test_cfg\.multiscale_test is True; supported: False"),
        ("test_cfg.nms_joints_thr", 3, r"test_cfg\.nms_joints_thr is 3; supported: None"),
        ("test_cfg.nms_dist_thr", 5, r"test_cfg\.nms_dist_thr is 5; supported: 0 to 1"),
        ("test_cfg.max_num_people", 9, r"test_cfg\.max_num_people is 9; supported: at least decode_max_instances, 30"),
    ],
)
def test_keys_that_are_not_supported_are_named(path: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        described(changed(path, value))
