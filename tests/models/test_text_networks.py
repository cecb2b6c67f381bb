"""Networks that detect text: SA-Text's numbers, EAST's layout and its head, and all of them through the door."""

import re

import numpy as np
import pytest
import torch
from golden.agreement import assert_tensors_agree
from golden.catalog import networks
from golden.reader import load, load_ops
from reference import assert_parameters_agree, load_network
from torch import Tensor
from torch.nn import functional as F

from detforge.deploy.inputs.resize import Resize
from detforge.deploy.loader import load as open_model
from detforge.export import export
from detforge.export.photographs import make_up
from detforge.models.checkpoint import Checkpoint, load_variant, random_model
from detforge.models.heads.text import RotatedBoxHead
from detforge.models.zoo import find

TOLERANCE = 1e-4  # in standard deviations; 9.7e-6 was measured at the worst
UNREAD = re.compile("center")  # which the reference computes and never reads


@pytest.mark.parametrize("name", networks("dilated"))
def test_sa_text_equals_the_reference(name: str) -> None:
    golden = load(name)
    variant, model = load_network(name, golden.state)
    for case in golden.cases.values():
        with torch.inference_mode():
            levels = model.backbone(torch.from_numpy(case.image))
            pyramid = model.neck.pyramid(levels)
            out = model.neck.out(pyramid[-1])
            logits = model.bbox_head(out)["map"]
        ours = {f"c{i + 2}": x for i, x in enumerate(levels)} | {f"p{5 - i}": x for i, x in enumerate(pyramid)}
        ours |= {"out": out, "head/gaussian": logits}
        assert_tensors_agree({k: v for k, v in case.raw.items() if not UNREAD.search(k)}, ours, TOLERANCE)
    assert_parameters_agree(variant, model, golden.state)


def test_the_head_gives_easts_maps() -> None:
    case = load_ops("rotated_boxes")
    [case] = [each for each in case if each["name"] == "rbox_head"]
    logits = torch.from_numpy(case["in"]["logits"])[None]
    maps = {"score": logits[:, :1], "distances": logits[:, 1:5], "angle": logits[:, 5:]}
    ours = RotatedBoxHead(8).decode(maps, (20, 28))
    geometry = torch.cat((ours["distances"], ours["angles"]), 1)[0]
    np.testing.assert_allclose(ours["scores"][0, 0], case["out"]["score"], rtol=1e-6)
    np.testing.assert_allclose(geometry, case["out"]["geometry"], rtol=1e-5, atol=1e-6)


def test_sides_may_come_in_the_ports_order() -> None:
    maps = {"score": torch.zeros(1, 1, 1, 1), "angle": torch.full((1, 1, 1, 1), 20.0)}
    logits = torch.tensor([0.1, 0.3, 0.2, 0.4]).logit()  # top, bottom, left, right
    head = RotatedBoxHead(8, sides="top bottom left right", turn=np.pi, reach=10.0)
    ours = head.decode(maps | {"distances": logits.view(1, 4, 1, 1)}, (4, 4))
    np.testing.assert_allclose(ours["distances"].flatten(), [1, 4, 3, 2], rtol=1e-6)
    np.testing.assert_allclose(ours["angles"].flatten(), [np.pi / 2], rtol=1e-6)


def ports_weights() -> dict[str, Tensor]:
    """Weights under the names of SakuraRiven/EAST: lists of layers, and numbered convolutions and norms."""
    torch.manual_seed(0)
    weights: dict[str, Tensor] = {}

    def add(conv: str, norm: str | None, shape: tuple[int, ...]) -> None:
        gain = (2 / (shape[1] * shape[2] ** 2)) ** 0.5
        weights[f"{conv}.weight"], weights[f"{conv}.bias"] = torch.randn(shape) * gain, 0.1 * torch.randn(shape[0])
        if norm is not None:
            weights[f"{norm}.weight"], weights[f"{norm}.bias"] = 1 + 0.1 * torch.randn(2, shape[0])
            weights[f"{norm}.running_mean"], weights[f"{norm}.running_var"] = torch.rand(2, shape[0]) + 0.5

    at, width = 0, 3
    for out in (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0):
        if out:
            add(f"extractor.features.{at}", f"extractor.features.{at + 1}", (out, width, 3, 3))
            at, width = at + 3, out
        else:
            at += 1
    shapes = [(128, 1024, 1), (128, 128, 3), (64, 384, 1), (64, 64, 3), (32, 192, 1), (32, 32, 3), (32, 32, 3)]
    for i, (out, given, size) in enumerate(shapes, 1):
        add(f"merge.conv{i}", f"merge.bn{i}", (out, given, size, size))
    for i, out in enumerate((1, 4, 1), 1):
        add(f"output.conv{i}", None, (out, 32, 1, 1))
    return weights


def ports_maps(weights: dict[str, Tensor], image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """EAST's maps by its definition: scores, distances to top, bottom, left and right, and angles."""

    def layer(x: Tensor, conv: str, norm: str | None) -> Tensor:
        weight = weights[f"{conv}.weight"]
        x = F.conv2d(x, weight, weights[f"{conv}.bias"], padding=weight.shape[2] // 2)
        if norm is None:
            return x.sigmoid()
        mean, variance, scale, shift = (
            weights[f"{norm}.{k}"] for k in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(x, mean, variance, scale, shift).relu()

    x, at, pools = image, 0, []
    for count in (2, 2, 3, 3, 3):
        for _ in range(count):
            x, at = layer(x, f"extractor.features.{at}", f"extractor.features.{at + 1}"), at + 3
        x, at = F.max_pool2d(x, 2), at + 1
        pools.append(x)
    x = pools[4]
    for i, finer in zip((1, 3, 5), pools[3:0:-1], strict=True):
        x = torch.cat((F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True), finer), 1)
        x = layer(layer(x, f"merge.conv{i}", f"merge.bn{i}"), f"merge.conv{i + 1}", f"merge.bn{i + 1}")
    x = layer(x, "merge.conv7", "merge.bn7")
    scores, distances, angles = (layer(x, f"output.conv{i}", None) for i in (1, 2, 3))
    return scores, 512 * distances, np.pi * (angles - 0.5)


@pytest.mark.slow
def test_east_reads_the_ports_layout() -> None:
    weights, image = ports_weights(), torch.randn(1, 3, 64, 96)
    model = load_variant(find("east"), Checkpoint(dict(weights), "east_vgg16.pth", None, None))
    with torch.inference_mode():
        ours, (scores, distances, angles) = model(image), ports_maps(weights, image)
    np.testing.assert_allclose(ours["scores"], scores, atol=1e-5)
    np.testing.assert_allclose(ours["distances"], distances[:, [0, 3, 1, 2]], atol=5e-3)
    np.testing.assert_allclose(ours["angles"], angles, atol=3e-5)


@pytest.mark.parametrize("name", ["east_test", "tat_test", "satext_test", "dgst_test"])
def test_maps_are_at_a_quarter_of_the_canvas(name: str) -> None:
    variant = find(name)
    with torch.inference_mode():
        outputs = random_model(variant)(torch.randn(2, 3, 64, 96))
    assert {output.name for output in variant.form.outputs} == outputs.keys()
    assert all(value.shape[0] == 2 and value.shape[2:] == (16, 24) for value in outputs.values())


def test_a_gate_of_tat_closes_a_pixel() -> None:
    """With the gates shut, no level but the last layer's bias reaches the maps."""
    model = random_model(find("tat_test"))
    for gate in model.neck.gates:
        gate.weight.data.zero_()
        gate.bias.data.fill_(-1e4)
    with torch.inference_mode():
        one, other = model(torch.zeros(1, 3, 64, 64)), model(torch.randn(1, 3, 64, 64))
    assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tat_test", "satext_test", pytest.param("abcnet_test", marks=pytest.mark.long)])
def test_exported_and_run(name: str, tmp_path) -> None:
    report = export(name, checkpoint="random", imgsz=(96, 128), output=tmp_path / "text.onnx")
    assert report.comparison.problem is None
    detector = open_model(str(report.path), conf=0.0)
    assert isinstance(detector.card.input.place, Resize)
    found = detector(make_up((90, 120), 0))
    assert np.isfinite(found.boxes).all() and np.isfinite(found.scores).all()
    assert len(found.polygons) == len(found)
