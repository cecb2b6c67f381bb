"""Networks that find masks or keypoints in their final detections, against their references' numbers."""

import numpy as np
import pytest
import torch
from found import found_in
from golden.agreement import assert_detections_agree
from golden.catalog import networks
from golden.reader import load
from reference import assert_parameters_agree, load_network, reference_card

from detforge.deploy.card import Provenance
from detforge.deploy.inputs.resize import ResizedFrame


@pytest.mark.parametrize("name", networks("graph"))
def test_detections_and_what_is_in_them_equal_the_reference(name: str) -> None:
    golden = load(name)
    variant, model = load_network(name, golden.state)
    assert_parameters_agree(variant, model, golden.state)
    card = reference_card(model.roi_head, variant.card(variant.labels, Provenance(name, None, "fp32", {})))
    for case in golden.cases.values():
        with torch.inference_mode():
            outputs = model(torch.from_numpy(case.image), torch.tensor([case.image_size], dtype=torch.float32))
        frame = ResizedFrame(case.image_size, case.image_size, case.image.shape[2:])
        found = found_in({key: value[0].numpy() for key, value in outputs.items()}, card, frame)
        assert_detections_agree(case, found)
        assert len(found) > 30
        apart = np.abs(case.boxes[:, None] - found.boxes).max(-1) + 1e3 * (case.labels[:, None] != found.labels)
        ours = found[apart.argmin(1)]
        if case.masks is not None:
            masks = ours.columns["masks"].values[: len(case.masks)]
            np.testing.assert_allclose(masks, case.masks, rtol=0, atol=2e-3)  # stored in half
        if case.keypoint_scores is not None:
            np.testing.assert_allclose(ours.keypoints[..., 2], case.keypoint_scores, rtol=0, atol=1e-3)
