"""YuNet's keypoints against those of its authors' code."""

import numpy as np
import pytest
import torch
from golden.reader import load

from detforge.models.checkpoint import Checkpoint, load_variant
from detforge.models.zoo import find


@pytest.mark.parametrize("tag", ["a", "b"])
def test_keypoints_equal_the_reference(tag: str) -> None:
    golden = load("yunet_n")
    state = {key: torch.from_numpy(value) for key, value in golden.state.items()}
    case = golden.cases[tag]
    with torch.inference_mode():
        outputs = load_variant(find("yunet_n"), Checkpoint(state, "yunet_n", None, None))(torch.from_numpy(case.image))
    boxes, keypoints = outputs["boxes"][0].numpy(), outputs["keypoints"][0].numpy()
    nearest = np.abs(case.boxes[:, None] - boxes).max(-1).argmin(1)
    assert len(nearest) > 30
    np.testing.assert_allclose(keypoints[nearest], case.keypoints, atol=0.01)
