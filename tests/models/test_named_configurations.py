"""Models of mmdet and mmpose in the zoo are what their configurations describe: parameters, image, form of output and
rules. There is one of every combination of parts and rules."""

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
    described = describe(Text(keys, {}), {"dataset_meta": dataset_meta(variant)}).variant
    assert shapes(described) == shapes(variant)
    assert plain(described.input) == plain(variant.input)
    assert (described.fusion, described.skeleton) == (variant.fusion, variant.skeleton)
    # How many candidates and detections there are, and from which score on, is ours in the zoo.
    assert limitless(described.form) == limitless(variant.form)
    rules = {"conf": 0.25, "floor": None, "max_det": 100}
    assert replace(described.suppress, **rules) == replace(variant.suppress, **rules)


def shapes(variant: Variant):
    with torch.device("meta"):
        network = variant.build(variant.classes)
    return {key: value.shape for key, value in network.state_dict().items()}


def dataset_meta(variant: Variant):
    """What mmengine writes beside the weights."""
    if variant.skeleton is None:
        return {"classes": variant.labels}
    names, links = variant.skeleton.keypoints, [list(link) for link in variant.skeleton.links]
    meta = {"keypoint_name2id": {name: i for i, name in enumerate(names)}, "skeleton_links": links}
    return meta | {"flip_indices": list(variant.skeleton.mirrored()), "sigmas": list(variant.skeleton.sigmas)}


def limitless(form):
    return replace(form, top_k=1000) if hasattr(form, "top_k") else form


def plain(image):
    """The input in one of the ways to say the same: on a fixed canvas further padding has no effect."""
    place = image.place
    if not isinstance(place, Resize):
        return image
    if place.pad.canvas is not None:
        place = replace(place, pad=replace(place.pad, multiple=1))
    if place.size is not None and place.size[0] == place.size[1] and place.keep_aspect:
        place = replace(place, by="edges")
    return replace(image, place=place)
