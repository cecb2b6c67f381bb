"""A network for pairs of images through the whole door: exported, verified, run on folders of pictures."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco

from detforge.deploy import load
from detforge.deploy.bench.cli import main as detbench
from detforge.deploy.detinfer.cli import main as detinfer
from detforge.export import export
from detforge.export.photographs import make_up

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("change")]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    report = export("dasnet_test", checkpoint="random", output=tmp_path_factory.mktemp("change") / "model.onnx")
    assert report.comparison is not None
    assert report.comparison.problem is None
    return report.path


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pairs `a` and `b`, the second with another suffix; `alone` has no partner and `cut` one of another size."""
    monkeypatch.chdir(tmp_path)
    for folder in ("before", "after"):
        Path(folder).mkdir()
    for seed, name in enumerate(("a.png", "b.png", "alone.png", "cut.png")):
        cv2.imwrite(f"before/{name}", make_up((120, 180), seed))
    cv2.imwrite("after/a.png", make_up((120, 180), 7))
    cv2.imwrite("after/b.jpg", make_up((120, 180), 8))
    cv2.imwrite("after/cut.png", make_up((60, 180), 3))
    return tmp_path


def test_pairs_are_found_by_name(model: Path, folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["before", "--against", "after", "--model", str(model), "--conf", "0.01"]
    assert detinfer([*given, "--json", "found.json", "--out", "out", "--save-masks"]) == 3
    said = capsys.readouterr().err.splitlines()
    assert "error: alone.png: has no partner in after; no file there has its name; name both alike" in said
    assert (
        "error: cut.png: compared with after/cut.png, but they have 180x120 and 180x60 px; give pairs of one size"
        in said
    )
    records = json.loads(Path("found.json").read_text())
    assert {record["image"] for record in records} == {"a.png", "b.png"}
    pipeline = load(model, conf=0.01)
    for name, other in (("a", "after/a.png"), ("b", "after/b.jpg")):
        found = pipeline(cv2.imread(f"before/{name}.png"), against=cv2.imread(other))
        mask = cv2.imread(f"out/masks/{name}.png", cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(mask, found.columns["masks"].union() * 255)
        own = [record for record in records if record["image"] == f"{name}.png"]
        assert len(own) == len(found)
        changed = sum(int(coco.area(record["segmentation"])) for record in own)
        assert changed == (mask == 255).sum() > 0


def test_an_image_has_not_changed_against_itself(model: Path) -> None:
    image = make_up((90, 140), 0)
    before, after = load(model).card.inputs
    assert (before.second, after.second) == (False, True)
    found = load(model, conf=1.0)([image], against=[image])
    assert len(found[0]) == 0


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        (["before/a.png"], 2, "dasnet_test compares two pictures; give the later one, or a folder, with --against"),
        (["before/a.png", "--against", "nothere"], 3, "nothere: no such file or folder; check the path"),
        (["before/a.png", "--against", "after", "--tile", "64"], 2, "--tile is for detectors that take one picture"),
    ],
)
def test_half_a_pair_is_refused(
    model: Path, folders: Path, capsys: pytest.CaptureFixture[str], given: list[str], code: int, said: str
) -> None:
    assert detinfer([*given, "--model", str(model), "--no-save"]) == code
    assert said in capsys.readouterr().err


def test_other_networks_take_one_picture(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert detinfer(["before/a.png", "--model", "gfl_markers", "--no-save", "--against", "after"]) == 2
    assert "--against is for networks that compare two pictures, gfl_markers takes one" in capsys.readouterr().err
    assert detinfer(["before/a.png", "--model", "gfl_markers", "--no-save", "--save-masks", "--out", "out"]) == 2
    assert "--save-masks is for networks that give masks; leave it out" in capsys.readouterr().err
    assert not Path("out").exists()


def test_it_is_timed_on_pairs(model: Path, folders: Path) -> None:
    command = ["--model", str(model), "--images", "before", "--duration", "0.05", "--warmup", "0", "--json", "b.json"]
    assert detbench(command) == 0
    assert json.loads(Path("b.json").read_text())
