"""TTFNet's checkpoints on Darknet-53, whose names are not OpenMMLab's."""

import re

import torch

from detforge.models.checkpoint import Checkpoint, load_variant
from detforge.models.zoo import find


def test_every_key_of_the_authors_finds_its_place() -> None:
    variant = find("ttfnet_d53")
    torch.manual_seed(0)
    ours = variant.build(80).state_dict()
    state = {theirs(key): torch.rand_like(value) if value.is_floating_point() else value for key, value in ours.items()}
    assert "backbone.stem.conv.weight" in state
    assert "backbone.layer5.4.body.1.bn.running_var" in state
    loaded = load_variant(variant, Checkpoint(state, "ttfnet53", None, None)).state_dict()
    assert len(state) == len(loaded)
    for key, value in loaded.items():
        if not key.endswith("num_batches_tracked"):
            assert torch.equal(value, state[theirs(key)]), key


def theirs(key: str) -> str:
    """What the authors call a parameter."""
    key = key.replace("backbone.conv1.", "backbone.stem.")
    key = re.sub(r"conv_res_block(\d)\.conv\.", r"layer\1.0.", key)
    key = re.sub(
        r"conv_res_block(\d)\.res(\d)\.conv(\d)\.",
        lambda m: f"layer{m[1]}.{int(m[2]) + 1}.body.{int(m[3]) - 1}.",
        key,
    )
    key = re.sub(r"^neck\.", "bbox_head.", key)
    return key.replace("conv_offset.", "conv_offset_mask.")
