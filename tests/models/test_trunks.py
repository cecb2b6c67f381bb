"""Backbones alone against their references."""

import pytest
import torch
from golden.agreement import assert_tensors_agree
from golden.catalog import networks
from golden.reader import load

from detforge.models.backbones.pyconv import PYCONV_50, PYCONV_HG_50

TRUNKS = {
    "pyconvresnet50_backbone": PYCONV_50,
    "pyconvhgresnet50_backbone": PYCONV_HG_50,
}


@pytest.mark.parametrize("name", networks("trunk"))
def test_trunk_equals_the_reference(name: str) -> None:
    golden = load(name)
    model = TRUNKS[name]().eval()
    weights = {key: torch.from_numpy(value) for key, value in golden.state.items() if not key.startswith("fc.")}
    model.load_state_dict(weights)
    for case in [case for case in golden.cases.values() if case.raw]:  # of the padded image no tensors are kept
        with torch.inference_mode():
            levels = model(torch.from_numpy(case.image))
            named = {f"layer{i}": level for i, level in enumerate(levels, 1)}
            # The classifier behind them is none of ours.
            assert_tensors_agree(case.raw, named | {"logits": None}, 3e-4)
