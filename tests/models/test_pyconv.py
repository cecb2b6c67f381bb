"""PyConvResNets against their authors' numbers."""

import pytest
import torch
from golden.reader import load

from detforge.models.backbones.pyconv import PYCONV_50, PYCONV_HG_50

BACKBONES = {"pyconvresnet50_backbone": PYCONV_50, "pyconvhgresnet50_backbone": PYCONV_HG_50}


@pytest.mark.parametrize("name", BACKBONES)
def test_levels_equal_the_authors(name: str) -> None:
    golden = load(name)
    backbone = BACKBONES[name]().eval()
    state = {k: torch.from_numpy(v) for k, v in golden.state.items() if not k.startswith("fc.")}
    backbone.load_state_dict(state)
    for case in golden.cases.values():
        with torch.inference_mode():
            levels = backbone(torch.from_numpy(case.image))
        for i, level in enumerate(levels, 1):
            assert case.raw[f"layer{i}"].error(level.numpy()) < 3e-4
