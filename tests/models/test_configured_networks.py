"""Small networks from configurations against what mmdet builds from the same, and finds with it."""

import numpy as np
import pytest
import torch
from found import found_in
from golden.agreement import assert_detections_agree
from golden.reader import Case, load_ops, picture, weight
from small_configs import MEAN, STD, new, resize, tuples

from detforge.deploy.card import Provenance
from detforge.deploy.inputs.resize import ResizedFrame
from detforge.models.checkpoint import Checkpoint, load_variant
from detforge.models.config.text import Text
from detforge.models.config.variant import describe

CASES = {case["name"]: case for case in load_ops("configured_networks")}
CONTESTED = 0.05  # of the detections; of two, the overlap may be so near NMS's limit that rounding decides
COMPUTED = ("relative_position_index",)
PREPROCESSOR = {"type": "DetDataPreprocessor", "mean": MEAN, "std": STD, "bgr_to_rgb": True, "pad_size_divisor": 32}


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_configured_network_is_the_frameworks(name):
    arguments, out = CASES[name]["args"], CASES[name]["out"]
    model = tuples(arguments["model"]) | {"data_preprocessor": PREPROCESSOR}
    variant = describe(
        Text({"model": model, **new(resize())}, {}), {"dataset_meta": {"classes": ("a", "b", "c")}}
    ).variant
    state = {key: values(key, *shape_and_gain) for key, shape_and_gain in arguments["state"].items()}
    own = variant.build(3).state_dict()  # with what a network computes by itself
    state |= {key: own[key] for key in state if key.endswith(COMPUTED)}
    network = load_variant(variant, Checkpoint(state, name, None, None))
    card = variant.card(variant.labels, Provenance(name, None, "fp32", {}))
    size = tuple(arguments["size"])
    image = picture(*size, 0)[None]
    with torch.inference_mode():
        outputs = {key: value[0].numpy() for key, value in network(torch.from_numpy(image)).items()}
    found = found_in(outputs, card, ResizedFrame(size, size, size))
    expected = Case(image, size, (0, 0), {}, out["boxes"], out["scores"], out["labels"])
    assert len(expected.scores) >= 10
    assert_detections_agree(expected, found[: len(expected.scores)], CONTESTED)


def values(key, shape, gain):
    """A weight from its name, as the reference has it."""
    return torch.from_numpy(np.asarray(weight(key, tuple(shape), gain)))
