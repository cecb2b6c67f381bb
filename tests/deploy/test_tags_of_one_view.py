"""mmpose's associative embedding without the flip test: maps of their own size, and one tag a keypoint."""

from typing import Any

import numpy as np
import torch
from golden.reader import load_ops, rng, weight
from tag_oracle import group

from detforge.deploy.loader import assemble
from detforge.export.bench_peer import TorchBackend
from detforge.models.checkpoint import Checkpoint, load_variant
from detforge.models.config.text import Text, read_text
from detforge.models.config.variant import describe
from detforge.models.skeletons import COCO_PERSON

[CASE] = [case for case in load_ops("bottom_up_configurations") if case["name"] == "mirrored"]
META = {
    "dataset_meta": {
        "keypoint_name2id": {name: i for i, name in enumerate(COCO_PERSON.keypoints)},
        "flip_indices": list(COCO_PERSON.mirrored()),
    }
}


def test_people_are_grouped_in_maps_of_their_own_size() -> None:
    keys: Any = read_text(CASE["args"]["cfg"]).values
    model_keys = keys["model"] | {"test_cfg": keys["model"]["test_cfg"] | {"flip_test": False}}
    head = model_keys["head"]
    width, height = head["decoder"]["input_size"]
    decoder = head["decoder"] | {"heatmap_size": (width // 4, height // 4)}
    model_keys |= {"head": head | {"decoder": decoder}}
    variant = describe(Text(keys | {"model": model_keys}, {}), META).variant
    assert (variant.form.flip, variant.form.enlarged) == (False, False)
    state = {key: torch.from_numpy(weight(key, tuple(shape), 1.0)) for key, shape in CASE["args"]["state"].items()}
    model = load_variant(variant, Checkpoint(state, "a", None, None))
    image = np.repeat(np.repeat(rng("photo").integers(0, 256, (30, 40, 3)).astype(np.uint8), 8, 0), 8, 1)
    card = variant.card(variant.labels, None)
    found = assemble(TorchBackend(model, card, "cpu"), card)(image)

    frame = card.input.place.whole(image.shape[:2])
    canvas = np.empty((1, 3, *frame.canvas_size), np.float32)
    frame.fill(canvas[0], image, card.input.pixels, 1)
    with torch.inference_mode():
        maps = {name: value[0].numpy() for name, value in model(torch.from_numpy(canvas)).items()}
    assert maps["heatmaps"].shape[1:] == (frame.canvas_size[0] // 4, frame.canvas_size[1] // 4)
    form = variant.form
    places, scores, totals = group(
        maps["heatmaps"],
        maps["tags"][None],
        form.order,
        mmpose=True,
        top_k=form.top_k,
        least_peak=form.least_peak,
        tag_distance=form.tag_distance,
    )
    assert form.people == 7 < len(totals)  # the first of them are kept
    best = np.argsort(-totals[:7], kind="stable")
    sides = np.array(frame.size)
    expected = places[best] * 4 / np.array(frame.canvas_size[::-1]) * sides + np.array(frame.centre) - sides / 2
    np.testing.assert_allclose(found.scores, totals[best], atol=1e-5)
    np.testing.assert_allclose(found.keypoints[..., 2], scores[best], atol=1e-5)
    np.testing.assert_allclose(found.keypoints[..., :2], expected, atol=0.01)
