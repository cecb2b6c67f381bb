"""Networks that read heatmaps against OpenMMLab's numbers, tensor by tensor and detection by detection."""

import re
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from golden.reader import Case, Golden, load, load_ops
from torch import Tensor, nn

from detforge.deploy.card import Card, Provenance, Suppress
from detforge.deploy.forms import CornerDecode, PeakDecode
from detforge.deploy.instances import Instances
from detforge.deploy.postprocess import postprocess
from detforge.deploy.preprocess import Frame
from detforge.models.checkpoint import Checkpoint, load_variant
from detforge.models.heads.center import CenterHead
from detforge.models.heads.corner import CornerHead
from detforge.models.heads.saccade import SaccadeHead
from detforge.models.variant import Variant
from detforge.models.zoo import find

# The worst measured, in standard deviations: where an offset lies next to a border, a hair decides what is sampled.
TOLERANCES = {
    "centernet_r18": 1e-4,
    "centernet_r18_dcnv2": 6e-4,
    "cornernet_hg104": 1e-4,
    "ttfnet_r18": 6e-4,
    "saccadenet_r18": 6e-4,
    "saccadenet_r18_2agg": 6e-4,
    "saccadenet_dla34": 3e-3,
}
NEAR = {"saccadenet_dla34": (2e-3, 0.1)}
"""Score and px within which detections are the same; others 1e-4 and 0.01. This one has 18 deformable layers."""
INNER = ("dla_up/", "head/cor_att")
"""Tensors that stay within our neck, or serve training alone."""
# Everything that the reference gives, which has no threshold but this one for Soft-NMS.
EVERYTHING = {"peaks": Suppress("none", conf=0.0), "corners": Suppress("gaussian", conf=0.001, iou=0.5)}


@dataclass(frozen=True)
class Run:
    """Our network on a golden: the reference's names to our tensors, and our detections, for each case."""

    golden: Golden
    model: nn.Module
    raw: dict[str, dict[str, Tensor]]
    found: dict[str, Instances]


@pytest.fixture(scope="module", params=TOLERANCES)
def run(request: pytest.FixtureRequest) -> Run:
    golden, variant = load(request.param), find(request.param)
    state = {key: torch.from_numpy(value) for key, value in golden.state.items()}
    model = load_variant(variant, Checkpoint(state, request.param, None, None))
    raw, found = {}, {}
    for tag, case in golden.cases.items():
        with torch.inference_mode():
            levels = model.backbone(torch.from_numpy(case.image))
            features = levels[-1] if model.neck is None else model.neck(levels)
            maps = model.bbox_head(features)
            outputs = model.bbox_head.decode(maps, case.image.shape[2:])
            if isinstance(model.bbox_head, SaccadeHead):
                raw[tag] = saccade(model.bbox_head, features, maps)
            else:
                raw[tag] = named(levels, features, maps)
        found[tag] = detections(outputs, variant, case)
    return Run(golden, model, raw, found)


def named(levels: list[Tensor], features: Tensor, maps: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under the reference's names."""
    names = {f"backbone/{i}": level for i, level in enumerate(levels)}
    if "sides" in maps:
        return names | {f"head/{i}": output for i, output in enumerate(maps.values())}
    if "heat" in maps:
        outputs = maps["heat"].sigmoid(), maps["size"], maps["offset"]
        return names | {"neck/0": features} | {f"head/{i}/0": output for i, output in enumerate(outputs)}
    order = [f"{corner}_{name}" for name in ("heat", "emb", "off") for corner in ("tl", "br")]
    return names | {f"head/{i}/1": maps[name] for i, name in enumerate(order)}  # the second stack


def saccade(head: SaccadeHead, features: Tensor, maps: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under the names of SaccadeNet's authors."""
    outputs = {"wh": head.wh_head(features), "hm": maps["heat"], "reg": maps["offset"], "final_wh": maps["size"]}
    return {"feat": features, **{f"head/{name}": output for name, output in outputs.items()}}


def detections(outputs: dict[str, Tensor], variant: Variant, case: Case) -> Instances:
    card = variant.card(variant.labels, Provenance("", None, "fp32", {}))
    card = replace(card, suppress=EVERYTHING[card.decode.kind])
    frame = Frame(case.image_size, case.image_size, case.image.shape[2:], case.offset)
    return postprocess({name: value[0].numpy() for name, value in outputs.items()}, card, frame)


def test_every_tensor_equals_the_reference(run: Run, request: pytest.FixtureRequest) -> None:
    for tag, case in run.golden.cases.items():
        # The first stack's heads serve training alone; we have none.
        samples = {name: s for name, s in case.raw.items() if not re.fullmatch("head/./0", name) or run.model.neck}
        samples = {name: s for name, s in samples.items() if not name.startswith(INNER)}
        errors = {name: s.error(run.raw[tag][name].numpy()) for name, s in samples.items()}
        worst = max(errors, key=errors.__getitem__)
        assert errors[worst] < TOLERANCES[request.node.callspec.params["run"]], (tag, worst)


def test_detections_equal_the_reference(run: Run, request: pytest.FixtureRequest) -> None:
    score, px = NEAR.get(request.node.callspec.params["run"], (1e-4, 0.01))
    for tag, case in run.golden.cases.items():
        found = run.found[tag]
        partners = (
            (case.labels[:, None] == found.labels)
            & (np.abs(case.scores[:, None] - found.scores) < score)
            & (np.abs(case.boxes[:, None] - found.boxes).max(-1) < px)
        )
        assert len(found) == len(case.scores) == 100
        assert partners.any(0).all()
        assert partners.any(1).all()


def test_parameters_are_those_of_the_reference(run: Run) -> None:
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    unused = re.compile(r"bbox_head\.(tl|br)_\w+\.0\.|cor_att\.|base\.(level[34]\.project|fc)\.")
    values = {key: v.size for key, v in run.golden.state.items() if not key.endswith(buffers) and not unused.match(key)}
    expected = sum(values.values())
    assert sum(p.numel() for p in run.model.parameters()) == expected


def card(decode: PeakDecode | CornerDecode, suppress: Suppress) -> Card:
    """A card for five classes."""
    variant = find("centernet_r18")
    provenance = Provenance("", None, "fp32", {})
    return replace(variant.card(tuple("abcde"), provenance), decode=decode, suppress=suppress)


def frame_of(arguments: dict) -> Frame:
    canvas = tuple(arguments["input_hw"])
    top, bottom, left, right = arguments["border"] or (0, canvas[0], 0, canvas[1])
    size = (bottom - top, right - left)
    return Frame(size, size, canvas, (top, left))


@pytest.mark.parametrize("case", [*load_ops("centers"), *load_ops("corners")], ids=lambda case: case["name"])
def test_decoding_equals_the_reference(case: dict) -> None:
    """Of maps with clear peaks, through the head and the runtime."""
    given = {name: torch.from_numpy(value) for name, value in case["in"].items()}
    frame = frame_of(case["args"])
    if "heat" in given:
        head: nn.Module = CenterHead(5, 8, peaks=case["args"]["topk"])
        maps = {"heat": given["heat"].double().logit().float(), "size": given["wh"], "offset": given["offset"]}
        rules = card(PeakDecode(), EVERYTHING["peaks"])
    else:
        head, maps = CornerHead(5, 8, peaks=case["args"]["corner_topk"]), given
        rules = card(CornerDecode(), replace(EVERYTHING["corners"], max_det=case["args"]["max_per_img"]))
    outputs = head.decode(maps, frame.canvas_size)
    found = postprocess({name: value[0].numpy() for name, value in outputs.items()}, rules, frame)
    np.testing.assert_allclose(found.scores, case["out"]["scores"], atol=1e-6)
    np.testing.assert_allclose(found.boxes, case["out"]["bboxes"], atol=1e-4)
    np.testing.assert_array_equal(found.labels, case["out"]["labels"])
