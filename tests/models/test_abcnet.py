"""ABCNet against its authors' numbers: every tensor, and the lines of text."""

import numpy as np
import pytest
import torch
from found import found_in
from golden.agreement import assert_tensors_agree
from golden.catalog import networks
from golden.reader import load
from reference import assert_parameters_agree, load_network, numbered, shortened

from detforge.deploy.card import Provenance
from detforge.deploy.forms.spotted import outlines
from detforge.deploy.inputs.resize import ResizedFrame
from detforge.models.heads.abcnet import Recognizer

TOLERANCE = 1e-4  # in standard deviations
STEPS = {"roi_attn": 0, "roi_attn@1": 1, "roi_attn@24": 24}


@pytest.mark.parametrize("name", networks("spotted"))
def test_equals_the_authors(name: str) -> None:
    golden = load(name)
    variant, model = load_network(name, golden.state)
    [case] = shortened(golden, variant.input.place).cases.values()
    assert case.curves is not None and case.symbols is not None and case.proposals is not None
    with torch.inference_mode():
        levels = model.neck(model.backbone(torch.from_numpy(case.image)))
        maps = model.bbox_head(levels[1:])
        outputs = {key: value[0].numpy() for key, value in model.detect(levels).items()}
        features = model.features(levels, torch.from_numpy(outputs["curves"][None, : len(case.proposals)]))[0]
        columns = model.recognizer.encode(features)
        logits = model.recognizer.read(columns)
        tower = model.recognizer.tower(features)
    ours = {
        **{f"fpn/p{i + 2}": x for i, x in enumerate(levels)},
        **numbered("head", [maps["classes"], [x.relu() for x in maps["sides"]], maps["quality"], maps["curves"]]),
        **{f"{key}/logprob": logits[step].log_softmax(1) for key, step in STEPS.items()},
        "roi_bezier_align": features,
        "roi_tower": tower,
        "roi_crnn": columns,
    }
    assert_tensors_agree(case.raw, ours, TOLERANCE)
    np.testing.assert_allclose(outputs["boxes"][: len(case.proposals)], case.proposals, atol=1e-2)
    assert np.mean(outputs["symbols"][: len(case.symbols)] == case.symbols) > 0.99
    card = variant.card(variant.labels, Provenance(name, None, "fp32", {}))
    found = found_in(outputs, card, ResizedFrame(case.image_size, case.image_size, case.image.shape[2:]))
    assert len(found) == len(case.scores) > 50
    np.testing.assert_allclose(found.boxes, case.boxes, atol=1e-2)
    np.testing.assert_allclose(found.scores, case.scores, atol=1e-5)
    np.testing.assert_allclose(np.stack(list(found.polygons)), outlines(case.curves.reshape(-1, 8, 2)), atol=1e-2)
    assert_parameters_agree(variant, model, golden.state)


def test_recurrent_parts_run_in_fp32_beside_half_weights() -> None:
    """Weights that half precision holds give the same in both."""
    torch.manual_seed(0)
    half = Recognizer(8, count=11, steps=4).eval().half()
    whole = Recognizer(8, count=11, steps=4).eval()
    whole.load_state_dict(half.state_dict())
    with torch.inference_mode():
        columns = torch.randn(5, 3, 8)
        for ours, theirs in zip(half.read(columns), whole.read(columns), strict=True):
            assert torch.equal(ours, theirs)


def test_the_encoder_is_torchs() -> None:
    torch.manual_seed(1)
    recognizer = Recognizer(8, count=11, steps=4).eval()
    features = torch.randn(3, 8, 8, 6)
    with torch.inference_mode():
        columns = recognizer.convs(recognizer.tower(features)).mean(2).permute(2, 0, 1)
        expected = recognizer.joined(recognizer.rnn(columns)[0])
        torch.testing.assert_close(recognizer.encode(features), expected)
