"""People that mmpose finds with configurations of bottom-up networks, and models of the zoo that others describe."""

import numpy as np
import pytest
import torch
from golden.reader import load_ops, rng, weight
from small_configs import COCO_META, bottom_up_old

from detforge.deploy.loader import assemble
from detforge.export.bench_peer import TorchBackend
from detforge.models.checkpoint import Checkpoint, load_variant
from detforge.models.config.text import ConfigError, Text, read_text
from detforge.models.config.variant import describe
from detforge.models.variant import Variant
from detforge.models.zoo import find

CASES = {case["name"]: case for case in load_ops("bottom_up_configurations")}


def photo() -> np.ndarray:
    """An image of squares of 8 px."""
    return np.repeat(np.repeat(rng("photo").integers(0, 256, (30, 40, 3)).astype(np.uint8), 8, 0), 8, 1)


@pytest.mark.parametrize("name", sorted(CASES))
def test_people_are_those_of_the_framework(name: str) -> None:
    case = CASES[name]
    variant = describe(read_text(case["args"]["cfg"]), COCO_META).variant
    state = {key: torch.from_numpy(weight(key, tuple(shape), 1.0)) for key, shape in case["args"]["state"].items()}
    model = load_variant(variant, Checkpoint(state, name, None, None))
    card = variant.card(variant.labels, None)
    found = assemble(TorchBackend(model, card, "cpu"), card)(photo())
    theirs = np.argsort(-case["out"]["totals"], kind="stable")  # The framework does not sort.
    np.testing.assert_allclose(found.scores, case["out"]["totals"][theirs], atol=1e-5)
    np.testing.assert_allclose(found.keypoints[..., 2], case["out"]["scores"][theirs], atol=1e-3)
    np.testing.assert_allclose(found.keypoints[..., :2], case["out"]["keypoints"][theirs], atol=0.02)


def shapes(variant: Variant) -> dict[str, torch.Size]:
    with torch.device("meta"):
        return {key: value.shape for key, value in variant.build(17).state_dict().items()}


OLD = {
    "higherhrnet_w32": {"higher": True},
    "higherhrnet_w48_640": {"higher": True, "width": 48, "size": 640},
    "higherhrnet_w32_udp": {"higher": True, "udp": True},
    "ae_hrnet_w32_v0": {},
}
SMALL = {"width": 8, "modules": (1, 1, 1)}


@pytest.mark.parametrize("name", OLD)
def test_models_are_what_their_configuration_of_mmpose_0x_describes(name: str) -> None:
    variant, described = find(name), describe(Text(bottom_up_old(**OLD[name]), {}), COCO_META).variant
    assert shapes(described) == shapes(variant)
    assert described.input.place == variant.input.place
    np.testing.assert_allclose(described.input.std, variant.input.std)
    assert (described.form, described.fusion, described.skeleton) == (variant.form, variant.fusion, variant.skeleton)
    assert {**described.mapping}.items() >= {"^keypoint_head.": "head."}.items()


@pytest.mark.parametrize(
    ("part", "key", "value", "words"),
    [
        ("test_cfg", "nms_kernel", 3, r"model\.test_cfg\.nms_kernel is 3; supported: 5"),
        ("test_cfg", "align_corners", True, r"model\.test_cfg\.align_corners is True; supported: False"),
        ("test_cfg", "ignore_too_much", True, r"model\.test_cfg\.ignore_too_much is True"),
        ("test_cfg", "soft_tags", 1, r"model\.test_cfg\.soft_tags is 1, which is not supported"),
        ("keypoint_head", "tag_per_joint", False, r"model\.keypoint_head\.tag_per_joint is False|model\.head"),
        ("keypoint_head", "num_joints", 16, r"model\.test_cfg\.num_joints is 17; supported: 16"),
        (
            "keypoint_head",
            "num_deconv_filters",
            (16,),
            r"model\.head\.num_deconv_filters is \(16,\); supported: \(8,\)",
        ),
        ("keypoint_head", "type", "AEMultiStageHead", r"type is 'AEMultiStageHead'; supported: AESimpleHead, AEH"),
    ],
)
def test_keys_that_are_not_supported_are_named(part, key, value, words) -> None:
    keys = bottom_up_old(higher=True, **SMALL)
    keys["model"][part][key] = value
    with pytest.raises(ConfigError, match=words):
        describe(Text(keys, {}), COCO_META)


def test_scales_and_centres_must_agree_between_transforms() -> None:
    for changes, words in (
        ({"test_scale_factor": (0.5, 1, 2)}, "test_scale_factor"),
        ({"base_length": 32}, "base_len"),
    ):
        keys = bottom_up_old(higher=True, **SMALL)
        keys["data"]["test"]["pipeline"][1].update(changes)
        with pytest.raises(ConfigError, match=words):
            describe(Text(keys, {}), COCO_META)
    keys = bottom_up_old(udp=True, **SMALL)
    keys["model"]["test_cfg"] |= {"use_udp": False, "align_corners": False}
    with pytest.raises(ConfigError, match="use_udp"):
        describe(Text(keys, {}), COCO_META)


def test_maps_larger_than_the_image_and_types_that_are_no_texts_are_refused() -> None:
    keys = bottom_up_old(**SMALL)
    del keys["model"]["keypoint_head"][
        "num_deconv_layers"
    ]  # three by default, which enlarge maps of stride 4 eightfold
    with pytest.raises(ConfigError, match=r"model\.head\.deconv_out_channels is .*: maps no larger than the image"):
        describe(Text(keys, {}), COCO_META)
    keys["model"]["type"] = {"type": "AssociativeEmbedding"}
    with pytest.raises(ConfigError, match=r"model\.type is .*; supported: a text"):
        describe(Text(keys, {}), COCO_META)
