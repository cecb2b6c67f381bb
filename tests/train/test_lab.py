"""The lab: interrupted comparisons go on, its losses are those of the heads, and perfect networks read as perfect."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from detforge.deploy.system.errors import UsageError
from detforge.train.dense.fcos import fcos_losses
from detforge.train.dense.gfl import gfl_losses
from detforge.train.fit import Training
from detforge.train.lab import keypoints
from detforge.train.lab.__main__ import COMPARISONS, main
from detforge.train.lab.chart import chart
from detforge.train.lab.comparison import Comparison, Reading, Settings, Way, compare, mean_curves, table
from detforge.train.lab.detectors import Recipe, build, losses, measured
from detforge.train.markers.corners import Marker
from detforge.train.markers.dataset import Scenes

SETTINGS = Settings(steps=2, scenes=16, held_out=8)


def squares(*_: object) -> list[Marker]:
    """White squares on noise."""
    made: list[Marker] = []
    for i in range(16):
        image = np.random.default_rng(i).integers(0, 99, (64, 64, 3), dtype=np.uint8)
        image[16:48, 16:48] = 255
        corners = np.array([(16, 16), (48, 16), (48, 48), (16, 48)], np.float32) - 0.5
        made.append(Marker(image, np.array([16, 16, 48, 48], np.float32), corners, np.ones(4, bool)))
    return made


@pytest.mark.slow
def test_an_interrupted_comparison_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Finished runs are kept and not repeated, and the others are those of a comparison without interruption."""
    monkeypatch.setattr(keypoints, "draw_markers", squares)
    monkeypatch.setattr(keypoints, "SIDE", 64)
    arguments = ["heatmap-labels", "--seeds", "1", "--steps", "2", "--scenes", "16", "--held-out", "8", "-o"]
    assert main([*arguments, str(tmp_path / "whole")]) == 0
    whole = capsys.readouterr().out
    assert "| quantised |" in whole and "| unbiased |" in whole and whole.startswith("DARK")

    def stop(*_: object) -> Reading:
        raise KeyboardInterrupt

    ways = COMPARISONS["heatmap-labels"].ways
    stopped = replace(
        COMPARISONS["heatmap-labels"], ways={"quantised": ways["quantised"], "unbiased": Way("unbiased labels", stop)}
    )
    with pytest.raises(KeyboardInterrupt):
        compare("heatmap-labels", stopped, 1, SETTINGS, tmp_path, tmp_path, "cpu")
    file = tmp_path / "quantised labels.json"
    kept = json.loads(file.read_text())
    assert list(kept["runs"]) == ["0"] and not (tmp_path / "unbiased labels.json").exists()
    kept["runs"]["0"]["values"]["argmax, px"] = 12345.0  # is not trained again
    file.write_text(json.dumps(kept))
    assert main([*arguments, str(tmp_path)]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert "| quantised | 12345.00 ± 0.00 |" in "\n".join(rows)
    assert rows[-1] == whole.splitlines()[-1]
    assert (tmp_path / "heatmap-labels.md").read_text().splitlines()[-1] == rows[-1]


def test_comparisons_share_networks(tmp_path: Path) -> None:
    def train(seed: int, *_: object) -> Reading:
        assert not (tmp_path / "same.json").exists()
        return Reading({"AP": 7.0 + seed}, {})

    same = Way("same", train)
    for name in ("first", "second"):
        compare(name, Comparison("", {name: same}), 1, SETTINGS, tmp_path, tmp_path, "cpu")
    assert "| second | 7.00 ± 0.00 | 1 |" in (tmp_path / "second.md").read_text()


@pytest.mark.parametrize("text", ['{"settings": {"steps": 3, "scenes": 16, "held_out": 8}, "runs": {}}', "[]", "{}"])
def test_runs_of_other_settings_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "focal L1 none ATSS.json").write_text(text)
    with pytest.raises(UsageError, match=r"focal L1 none ATSS\.json.*--output"):
        compare("boxes", COMPARISONS["boxes"], 1, SETTINGS, tmp_path, tmp_path, "cpu")


def test_the_table_has_the_mean_and_the_spread() -> None:
    runs = {"a": {"0": Reading({"AP": 1.0}, {}), "1": Reading({"AP": 3.0}, {})}, "b": {"0": Reading({"px": 2.0}, {})}}
    assert table(runs).splitlines()[2:] == ["| a | 2.00 ± 1.00 |  | 2 |", "| b |  | 2.00 ± 0.00 | 1 |"]


def test_charts_show_the_means() -> None:
    runs = {"<a>": {str(i): Reading({}, {"c": {"0.50": 10.0 * i, "0.95": 2.0}}) for i in (1, 3)}}
    curves = mean_curves(runs, "c")
    assert curves == {"<a>": {0.5: 20.0, 0.95: 2.0}}
    root = ElementTree.fromstring(chart("c", curves))
    [line] = root.findall("{http://www.w3.org/2000/svg}polyline")
    (left, top), (right, low) = (map(float, point.split(",")) for point in line.attrib["points"].split())
    assert left < right and top < low


@pytest.mark.parametrize(
    ("recipe", "name", "other", "theirs"),
    [
        (Recipe(assign="FCOS"), "scores", fcos_losses, "classes"),
        (Recipe(assign="FCOS", quality="centre-ness"), "quality", fcos_losses, "centerness"),
        (Recipe(scores="quality focal", boxes="distribution"), "scores", gfl_losses, "quality"),
    ],
)
def test_losses_are_those_of_the_heads(
    recipe: Recipe, name: str, other: Callable[..., dict[str, Tensor]], theirs: str
) -> None:
    model = build(recipe, 0)
    images = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 3, 128, 128)).astype(np.float32))
    boxes = [torch.tensor([[20.0, 30, 70, 90], [60, 10, 120, 60]]), torch.zeros(0, 4)]
    labels = [torch.zeros(2, dtype=torch.long), torch.zeros(0, dtype=torch.long)]
    options: dict[str, Any] = {"anchor_side": 4.0} if other is gfl_losses else {}
    expected = other(model.bbox_head, model.logits(images), boxes, labels, **options)[theirs]
    torch.testing.assert_close(losses(recipe, model, images, boxes, labels)[name], expected)


@pytest.mark.parametrize("name", ["scores", "boxes", "quality", "assignment"])
def test_every_way_has_a_gradient_without_objects(name: str) -> None:
    for way in COMPARISONS[name].ways.values():
        recipe = way.train.args[0]
        model = build(recipe, 1)
        empty = [torch.zeros(0, 4)], [torch.zeros(0, dtype=torch.long)]
        terms = losses(recipe, model, torch.zeros(1, 3, 64, 64), *empty)
        total = torch.stack(list(terms.values())).sum()
        total.backward()
        assert torch.isfinite(total) and all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())


def test_the_centre_prior_learns_with_the_network() -> None:
    recipe = Recipe(assign="AutoAssign")
    training = Training(build(recipe, 0), steps=1, rate=1e-2)
    boxes, labels = [torch.tensor([[20.0, 30, 70, 90]])], [torch.zeros(1, dtype=torch.long)]
    training.learn(partial(losses, recipe), torch.zeros(1, 3, 128, 128), boxes, labels)
    prior: Any = training.model.bbox_head
    assert (prior.center_prior.mean != 0).all() and (prior.center_prior.sigma != 1).all()


class Oracle(nn.Module):
    """A network that finds the same box in every image, and half of it with a lower score."""

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        boxes, scores = torch.zeros(len(image), 340, 4), torch.zeros(len(image), 340, 1)
        boxes[:, :2] = torch.tensor([[24.0, 24, 48, 72], [24, 24, 36, 72]])
        scores[:, :2] = torch.tensor([[0.97], [0.33]])
        return {"boxes": boxes, "scores": scores}


def test_a_perfect_network_reads_as_perfect() -> None:
    """Its boxes have the overlaps 1 and 0.5; a scene of 416 px is shown at 128."""
    box = np.array([[24, 24, 48, 72]], np.float32) * np.float32(416 / 128)
    scenes = Scenes([np.zeros((416, 416, 3), np.uint8)] * 12, [box] * 12, [np.zeros(1, np.int64)] * 12)
    reading = measured(Oracle(), scenes, 0.0, "cpu")
    assert reading.values == pytest.approx({"AP": 100.0, "AP50": 100.0, "AP75": 100.0})
    assert reading.curves["overlap by score"] == pytest.approx({"0.35": 0.5, "0.95": 1.0}, abs=1e-5)
    assert len(reading.curves["AP by overlap"]) == 10
