"""The sizes of pyramid levels that a Card says are those that networks give, also where sides are no multiples."""

import pytest
import torch

from detforge.models.zoo import find


@pytest.mark.parametrize("name", ["fcos_hrnet_test", "nas_fpn_test", "gfl_test", "lffd_test"])
@pytest.mark.parametrize("size", [(160, 224), (352, 256), (288, 416)])
def test_levels_are_as_large_as_the_card_says(name, size):
    variant = find(name)
    with torch.inference_mode():
        scores = variant.build(len(variant.labels)).eval()(torch.zeros(1, 3, *size))["scores"]
    assert scores.shape[1] == sum(variant.form.level_sizes(*size))
