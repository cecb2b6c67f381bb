"""Networks that find masks in their final detections, against their references' numbers."""

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
def test_detections_and_masks_equal_the_reference(name: str) -> None:
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
        grids = found.columns["masks"].values
        for i, mask in enumerate(case.masks):
            ours = np.abs(found.boxes - case.boxes[i]).max(1) + np.where(found.labels == case.labels[i], 0, 1e3)
            np.testing.assert_allclose(grids[ours.argmin()], mask, rtol=0, atol=2e-3)  # stored in half
