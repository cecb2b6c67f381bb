"""A form of output and a column that no other file knows, from a network to detinfer and detbench."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from detforge.deploy import load
from detforge.deploy.bench.cli import main as detbench
from detforge.deploy.columns import COLUMNS
from detforge.deploy.columns.column import Column
from detforge.deploy.columns.transform import Transform
from detforge.deploy.detinfer.cli import main as detinfer
from detforge.deploy.forms import FORMS
from detforge.deploy.forms.form import Contract, ImageForm, Output, Run
from detforge.deploy.inputs.geometry import Size
from detforge.deploy.results.instances import Instances
from detforge.export import export
from detforge.models.variant import RGB, Variant
from detforge.models.zoo import VARIANTS


@dataclass(frozen=True, eq=False)
class Circles(Column):
    """Values (n, 3): the centre x, y and the radius, in px."""

    name: ClassVar[str] = "circle"

    def mapped(self, transform: Transform) -> Self:
        radius = self.values[:, 2:] * abs(transform.scale[0])
        return replace(self, values=np.concatenate((transform.points(self.values[:, :2]), radius), 1))

    def bounds(self) -> NDArray[np.float32]:
        centre, radius = self.values[:, :2], self.values[:, 2:]
        return np.concatenate((centre - radius, centre + radius), 1)

    def records(self) -> list[dict[str, Any]]:
        return [{"circle": [round(value, 3) for value in row]} for row in self.values.tolist()]

    def paint(self, canvas: NDArray[np.uint8], row: int, line: int) -> None:
        x, y, radius = self.values[row].round().astype(int).tolist()
        cv2.circle(canvas, (x, y), max(1, radius), (0, 0, 255), cv2.FILLED)


@dataclass(frozen=True)
class CircleForm(ImageForm):
    """`circles` (n, k, 3) px and `scores` (n, k)."""

    kind: Literal["circles"] = "circles"
    task: ClassVar[str] = "circles"
    outputs: ClassVar[tuple[Output, ...]] = (Output("circles", unit="px"), Output("scores"))

    def px(self, canvas: Size) -> float:
        return 8.0

    def find(self, runs: Sequence[Run], card: Contract) -> Instances:
        [run] = runs
        kept = run.outputs["scores"] > card.suppress.conf
        scores = run.outputs["scores"][kept]
        column = Circles(run.outputs["circles"][kept])
        labels = np.zeros(len(scores), np.int64)
        return Instances.around([column], scores, labels, card.labels, run.frame.extent)


class Network(nn.Module):
    """Cells of 32 px, each with a circle in its middle."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, classes, 32, 32)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        maps = self.head(image)
        n, _, h, w = maps.shape
        y, x = (32.0 * torch.arange(side) + 16 for side in (h, w))
        places = torch.stack((x.expand(h, w), y[:, None].expand(h, w), torch.full((1, 1), 12.0).expand(h, w)), -1)
        return {"circles": places.reshape(1, -1, 3).expand(n, -1, 3), "scores": maps.flatten(1).sigmoid()}


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    variant = Variant(
        "circles_test",
        "none",
        "circles",
        Network,
        CircleForm(),
        "head.weight",
        RGB.placed(size=(96, 128)),
        labels=("o",),
    )
    monkeypatch.setitem(VARIANTS, variant.name, variant)
    monkeypatch.setattr("detforge.deploy.forms.FORMS", [*FORMS, CircleForm])
    monkeypatch.setattr("detforge.deploy.results.instances.COLUMNS", [*COLUMNS, Circles])
    monkeypatch.chdir(tmp_path)
    exported = export("circles_test", checkpoint="random", output=tmp_path / "circles.onnx")
    assert exported.comparison is not None
    assert exported.comparison.detections > 20
    assert exported.comparison.match_rate == 1.0
    return exported.path


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    path = tmp_path / "photos" / "a.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (192, 256, 3), np.uint8))
    return path


def test_it_is_found_mapped_and_taken_row_by_row(model: Path, photo: Path) -> None:
    found = load(str(model), conf=0.0)(cv2.imread(str(photo)))
    assert len(found) == 12  # 3 x 4 cells of a 96x128 canvas
    assert set(map(tuple, found.circle[:, :2].tolist())) == {
        (64.0 * i + 32, 64.0 * j + 32) for i in range(4) for j in range(3)
    }
    np.testing.assert_allclose(found.circle[:, 2], 24)  # 12 px of a canvas at half the image's size
    np.testing.assert_allclose(found.boxes[:, 2] - found.boxes[:, 0], 48)
    assert found[2:4].circle.shape == (2, 3)


def test_it_goes_through_detinfer(model: Path, photo: Path) -> None:
    assert detinfer([str(photo), "--model", str(model), "--conf", "0", "--json", "found.json", "--out", "out"]) == 0
    records = json.loads(Path("found.json").read_text())
    assert len(records) == 12
    assert all(len(record["circle"]) == 3 and record["category"] == "o" for record in records)
    drawn = cv2.imread("out/a.png")
    red = (drawn == (0, 0, 255)).all(-1).sum()
    assert red > 4 * 3.14 * 20**2  # at least four circles are not covered by captions


def test_it_goes_through_tiles(model: Path, photo: Path) -> None:
    assert (
        detinfer([str(photo), "--model", str(model), "--conf", "0", "--tile", "128", "--json", "t.json", "--no-save"])
        == 0
    )
    assert len(json.loads(Path("t.json").read_text())) >= 12


def test_it_goes_through_detbench(model: Path, photo: Path) -> None:
    command = ["--model", str(model), "--images", str(photo.parent), "--duration", "0.05", "--warmup", "0"]
    assert detbench([*command, "--json", "bench.json"]) == 0
    assert json.loads(Path("bench.json").read_text())["results"][0]["ms"]["e2e"]["mean"] > 0
