"""Each model of mmdet in the zoo is what its configuration describes: parameters, image, form of output and rules."""

from dataclasses import replace

import pytest
import torch
from golden.reader import load_ops
from small_configs import tuples

from detforge.deploy.inputs.resize import Resize
from detforge.models.config.text import Text
from detforge.models.config.variant import describe
from detforge.models.variant import Variant
from detforge.models.zoo import find

CASES = {case["name"]: case["args"] for case in load_ops("named_configurations")}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CASES))
def test_a_model_is_what_its_configuration_describes(name):
    variant, case = find(name), tuples(CASES[name])
    keys = {"model": case["model"], "test_dataloader": {"dataset": {"pipeline": case["pipeline"]}}}
    described = describe(Text(keys, {}), {"dataset_meta": {"classes": variant.labels}}).variant
    assert shapes(described) == shapes(variant)
    assert plain(described.input) == plain(variant.input)
    assert described.fusion == variant.fusion
    # How many candidates and detections there are, and from which score on, is ours in the zoo.
    assert limitless(described.form) == limitless(variant.form)
    rules = {"conf": 0.25, "floor": None, "max_det": 100}
    assert replace(described.suppress, **rules) == replace(variant.suppress, **rules)


def shapes(variant: Variant):
    with torch.device("meta"):
        network = variant.build(len(variant.labels))
    return {key: value.shape for key, value in network.state_dict().items()}


def limitless(form):
    return replace(form, top_k=1000) if hasattr(form, "top_k") else form


def plain(image):
    """The input in one of the ways to say the same: on a fixed canvas further padding has no effect."""
    place = image.place
    assert isinstance(place, Resize)
    if place.pad.canvas is not None:
        place = replace(place, pad=replace(place.pad, multiple=1))
    if place.size is not None and place.size[0] == place.size[1] and place.keep_aspect:
        place = replace(place, by="edges")
    return replace(image, place=place)
