"""How the authors' Double-Head and Double-Head-Ext read their branches, against the authors' post-processing."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from found import found_in
from golden.reader import load_ops

from detforge.deploy.card import Provenance
from detforge.deploy.inputs.resize import ResizedFrame
from detforge.models.heads.double_official import OfficialDoubleHead
from detforge.models.zoo import find

CASES = {case["name"]: case for case in load_ops("double_head")}
NAMES = {"cls_conv": "conv_classes", "box_conv": "conv_deltas", "cls_fc": "classes", "box_fc": "deltas"}


@pytest.mark.parametrize(
    ("case", "variant"), [("double_head_mode2", "double_head_official"), ("double_head_mode3", "double_head_ext")]
)
def test_detections_equal_the_authors(case: str, variant: str) -> None:
    given = {name: torch.from_numpy(value)[None] for name, value in CASES[case]["in"].items()}
    expected, classes = CASES[case]["out"], given["cls_fc"].shape[2] - 1
    head = OfficialDoubleHead(classes, 8, size=1, width=16, fused=variant == "double_head_ext")
    logits = {ours: given[theirs] for theirs, ours in NAMES.items()}
    outputs = {"boxes": head.boxes(logits, given["proposals"]), "scores": head.scores(logits)}
    labels = tuple(f"class {i}" for i in range(classes))
    card = find(variant).card(labels, Provenance(variant, None, "fp32", {}))
    card = replace(card, suppress=replace(card.suppress, conf=0.05))
    size = tuple(CASES[case]["args"]["image_size"])
    found = found_in({name: value[0].numpy() for name, value in outputs.items()}, card, ResizedFrame(size, size, size))
    order, theirs = np.lexsort((found.labels, -found.scores)), np.lexsort((expected["labels"], -expected["scores"]))
    np.testing.assert_allclose(found.scores[order], expected["scores"][theirs], atol=1e-5)
    np.testing.assert_array_equal(found.labels[order], expected["labels"][theirs] - 1)
    np.testing.assert_allclose(found.boxes[order], expected["bboxes"][theirs], atol=1e-3)
