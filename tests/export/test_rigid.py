"""Networks for rigid objects through the whole door: exported, verified, run with a camera."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from detforge.deploy import load
from detforge.deploy.bench.cli import main as detbench
from detforge.deploy.detinfer.cli import main as detinfer
from detforge.export import cli, export
from detforge.export.photographs import make_up

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("rigid")]
K = [[300.0, 0.0, 80.0], [0.0, 310.0, 60.0], [0.0, 0.0, 1.0]]
PLAIN = {"fx": 300, "fy": 310, "cx": 80, "cy": 60}


def exported(name: str, folder: Path) -> Path:
    report = export(name, checkpoint="random", output=folder / f"{name}.onnx")
    assert report.comparison is not None
    assert report.comparison.problem is None
    return report.path


@pytest.fixture(scope="module")
def pvnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported("pvnet_test", tmp_path_factory.mktemp("rigid"))


@pytest.fixture(scope="module")
def cdpn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported("cdpn_test", tmp_path_factory.mktemp("rigid"))


def timed(model: Path, pictures: Path) -> int:
    """The exit code of a short detbench, which writes b.json."""
    options = "--duration 0.05 --warmup 0 --json b.json".split()
    return detbench(["--model", str(model), "--images", str(pictures), *options])


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two pictures of scene 48, and a third whose name is no number."""
    monkeypatch.chdir(tmp_path)
    folder = Path("000048/rgb")
    folder.mkdir(parents=True)
    for seed, name in enumerate(("000003.png", "000004.png", "third.png")):
        cv2.imwrite(str(folder / name), make_up((120, 160), seed))
    Path("camera.json").write_text(json.dumps(PLAIN))
    return folder


def test_every_form_of_a_camera_gives_the_same_poses(pvnet: Path, pictures: Path) -> None:
    scene = {"3": {"cam_K": np.ravel(K).tolist(), "depth_scale": 1.0}}
    model = load(pvnet)
    expected = model(cv2.imread(str(pictures / "000003.png")), camera=K)
    assert expected.rigid_poses.shape == (1, 3, 4)
    for value in (PLAIN, {"K": K}, {**PLAIN, "width": 160, "depth_scale": 0.1}, scene, K):
        Path("camera.json").write_text(json.dumps(value))
        given = [str(pictures / "000003.png"), "--model", str(pvnet), "--camera", "camera.json", "--no-save"]
        assert detinfer([*given, "--json", "found.json"]) == 0
        [record] = json.loads(Path("found.json").read_text())
        if np.isnan(expected.rigid_poses).any():
            assert record["rotation"] is None
        else:
            np.testing.assert_allclose(record["rotation"], expected.rigid_poses[0, :, :3], atol=1e-5)
            np.testing.assert_allclose(record["translation"], expected.rigid_poses[0, :, 3], atol=1e-4)
        assert len(record["keypoints"]) == 3 * 5


def test_results_for_bop(pvnet: Path, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [str(pictures), "--model", str(pvnet), "--camera", "camera.json", "--save-bop", "bop.csv", "--save-txt"]
    assert detinfer([*given, "--json", "found.json", "--out", "out"]) == 3
    assert "third.png: BOP's results number the pictures; give it a number as its name" in capsys.readouterr().err
    records = [one for one in json.loads(Path("found.json").read_text()) if one["rotation"] is not None]
    records = [one for one in records if one["image"] != "third.png"]
    with Path("bop.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(records)
    for row, record in zip(rows, records, strict=True):
        assert (row["scene_id"], row["obj_id"]) == ("48", "1")
        assert int(row["im_id"]) == int(Path(record["image"]).stem)
        np.testing.assert_allclose([*map(float, row["R"].split())], np.ravel(record["rotation"]), atol=1e-5)
        np.testing.assert_allclose([*map(float, row["t"].split())], record["translation"], atol=1e-3)
    line = Path("out/labels/000003.txt").read_text().split()
    assert len(line) == 5 + 3 * 5 + 12


def test_boxes_get_poses(cdpn: Path, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    boxes = [{"image": "000003.png", "bbox": box, "score": 0.5} for box in ([20, 30, 60, 50], [-30, 10, 90, 40])]
    Path("boxes.json").write_text(json.dumps(boxes))
    given = [str(pictures / "000003.png"), "--model", str(cdpn), "--boxes", "boxes.json", "--json", "found.json"]
    assert detinfer([*given, "--no-save"]) == 2
    assert "cdpn_test finds poses in space; give the camera with --camera FILE" in capsys.readouterr().err
    assert detinfer([*given, "--camera", "camera.json", "--save-bop", "bop.csv", "--out", "out"]) == 0
    records = json.loads(Path("found.json").read_text())
    image = cv2.imread(str(pictures / "000003.png"))
    found = load(cdpn)(image, [[20, 30, 80, 80], [-30, 10, 60, 50]], [0.5, 0.5], camera=K)
    assert found.rigid_poses.shape == (2, 3, 4)
    for record, pose, score in zip(records, found.rigid_poses, found.scores, strict=True):
        if np.isnan(pose).any():
            assert (record["rotation"], score) == (None, 0)
        else:
            np.testing.assert_allclose(record["rotation"], pose[:, :3], atol=1e-5)
    assert timed(cdpn, pictures) == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "camera.json: the camera cannot be read; not JSON"),
        ("[]", "field 'K' must hold 3x3 numbers"),
        ('{"fx": 300, "fy": 300, "cx": 80}', "no camera, cy is missing; give fx, fy, cx and cy, a 3x3 matrix K"),
        ('{"fx": 0, "fy": 300, "cx": 80, "cy": 60}', "with fx and fy above 0"),
        ('{"K": [[300, 2, 80], [0, 300, 60], [0, 0, 1]]}', "the rows fx 0 cx, 0 fy cy and 0 0 1"),
        ('{"fx": NaN, "fy": 300, "cx": 80, "cy": 60}', "fx and fy above 0"),
        ('{"fx": "300", "fy": {}, "cx": 80, "cy": 60}', "field 'K' must hold 3x3 numbers"),
        ('{"7": {"cam_K": [300, 0, 80, 0, 300, 60, 0, 0, 1]}}', "has no camera of this picture"),
        ('{"3": {"cam_K": [300, 0, 80]}}', "3: field 'K' must hold 3x3 numbers"),
    ],
)
def test_a_file_that_is_no_camera(
    pvnet: Path, pictures: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    Path("camera.json").write_text(text)
    given = [str(pictures / "000003.png"), "--model", str(pvnet), "--camera", "camera.json", "--no-save"]
    assert detinfer(given) == 3
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert said in line


def test_half_of_model_and_camera_is_refused(pvnet: Path, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [str(pictures), "--no-save", "--model"]
    for rest, said in (
        ([str(pvnet)], "pvnet_test finds poses in space; give the camera with --camera FILE"),
        ([str(pvnet), "--camera", "camera.json", "--tile", "64"], "--tile has no effect on pvnet_test"),
        (["gfl_markers", "--camera", "camera.json"], "--camera is for networks that find poses in space"),
        (["gfl_markers", "--save-bop", "bop.csv"], "--save-bop is for networks that find poses in space"),
    ):
        assert detinfer([*given, *rest]) == 2
        assert said in capsys.readouterr().err


def test_it_is_timed_with_a_camera(pvnet: Path, pictures: Path) -> None:
    assert timed(pvnet, pictures) == 0
    assert json.loads(Path("b.json").read_text())["results"]


@pytest.mark.parametrize(
    ("model", "text", "code", "said"),
    [
        ("gfl", "{}", 2, "is for networks that find a rigid object, not gfl_r50"),
        ("pvnet", "[", 3, "solid.json: no solid; not JSON"),
        ("pvnet", "{}", 3, "solid.json: no solid; field 'low' is missing; give"),
        (
            "pvnet",
            '{"low": [0, 0, 0], "high": [1, 0, 1]}',
            3,
            "field 'solid.high' must hold a corner above that of `low`",
        ),
        ("pvnet", '{"low": [0, 0, 0], "high": [1, 1, 1], "unit": "cm"}', 3, "field 'unit' must hold mm or m"),
    ],
)
def test_a_file_that_is_no_solid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str, text: str, code: int, said: str
) -> None:
    file = tmp_path / "solid.json"
    file.write_text(text)
    given = ["--model", model, "--checkpoint", "random", "--solid", str(file), "-o", str(tmp_path / "m.onnx")]
    assert cli.main(given) == code
    assert said in capsys.readouterr().err
