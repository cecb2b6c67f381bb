"""Networks for rigid objects through the whole door: exported, verified, run with a camera."""

import csv
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch

from detforge.deploy import load
from detforge.deploy.bench.cli import main as detbench
from detforge.deploy.card import Provenance
from detforge.deploy.contract.camera import Camera
from detforge.deploy.detinfer.cli import main as detinfer
from detforge.deploy.forms.solid_corners import pose_of
from detforge.export import cli, export
from detforge.export.convert import attach
from detforge.export.photographs import make_up
from detforge.models.checkpoint import random_model
from detforge.models.zoo import find
from detforge.train.markers import symbols

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("rigid")]
K = [[300.0, 0.0, 80.0], [0.0, 310.0, 60.0], [0.0, 0.0, 1.0]]
PLAIN = {"fx": 300, "fy": 310, "cx": 80, "cy": 60}


def exported(name: str, folder: Path, **options: Any) -> Path:
    report = export(name, **{"checkpoint": "random", **options}, output=folder / f"{name}.onnx")
    assert report.comparison is not None
    assert report.comparison.problem is None
    return report.path


@pytest.fixture(scope="module")
def pvnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported("pvnet_test", tmp_path_factory.mktemp("rigid"))


@pytest.fixture(scope="module")
def cdpn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rigid")
    return exported("cdpn_test", folder, labels=of_a_marker(folder))


TURN = cv2.Rodrigues(np.array([0.4, -0.9, 0.3]))[0]
POINTS = """
<ir_version: 10, opset_import: ["": 20]>
network (float[batch, 3, 1, 96] points)
    => (float[batch, 1] count, float[batch, 3] centre, float[batch, 24] corners, float[batch, 24] residual)
{
    places = Constant <value_ints = [2, 3]> ()
    last = Constant <value_ints = [2]> ()
    depth = Constant <value_int = 2> ()
    zero = Constant <value_float = 0.0> ()
    one = Constant <value_float = 1.0> ()
    z = Gather <axis = 1> (points, depth)
    seen = Sign (z)
    count = ReduceSum <keepdims = 0> (seen, last)
    total = ReduceSum <keepdims = 0> (points, places)
    some = Max (count, one)
    centre = Div (total, some)
    nothing = Mul (count, zero)
    corners = Add (nothing, turned)
    residual = Add (nothing, none)
}
"""


@pytest.fixture(scope="module")
def g2l(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file in place of G2L-Net, for which the object is at the mean of its points, with the rotation TURN."""
    folder = tmp_path_factory.mktemp("rigid")
    variant = find("g2l_test")
    signs = ("--+", "-++", "-+-", "---", "+--", "+-+", "++-", "+++")  # the authors' order
    corners = np.where(
        [[sign == "+" for sign in row] for row in signs], variant.form.solid.high, variant.form.solid.low
    )
    network = onnx.parser.parse_model(POINTS)
    for name, values in (("turned", corners @ TURN.T), ("none", np.zeros(24))):
        network.graph.initializer.append(onnx.numpy_helper.from_array(values.ravel().astype(np.float32), name))
    attach(network, variant.card(("qr_code",), Provenance("random", None, "fp32", {})))
    onnx.save(network, folder / "g2l.onnx")
    return folder / "g2l.onnx"


@pytest.mark.long
def test_points_are_exported(tmp_path: Path) -> None:
    """With weights that take about half of the points for the object's."""
    model = random_model(find("g2l_test"))
    depth = np.random.default_rng(0).normal(800, 60, (120, 160))
    frame = find("g2l_test").input.place.of_box(np.array([20, 10, 120, 100]), (120, 160))
    points = torch.from_numpy(frame.points(depth, Camera.of(K)))[None, :, None]
    seen: list[torch.Tensor] = []
    model.Seg3D.register_forward_hook(lambda _, __, out: seen.append(out[0][:, 1] - out[0][:, 0]))
    with torch.no_grad():
        model.Seg3D.conv5.weight *= 30
        model(points)
        model.Seg3D.conv5.bias[1] -= seen[0].median()
        assert 30 < model(points)["count"] < 60
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    file = exported("g2l_test", tmp_path, checkpoint=str(tmp_path / "weights.pth"))
    found = load(file)(np.zeros((120, 160, 3), np.uint8), [[20, 10, 120, 100]], camera=K, depth=depth)
    with torch.inference_mode():
        outputs = model(points)
    expected = pose_of(find("g2l_test").form.solid, *(outputs[n][0].numpy() for n in ("centre", "corners", "residual")))
    np.testing.assert_allclose(found.rigid_poses[0], expected, rtol=1e-2, atol=2e-3)


def of_a_marker(folder: Path) -> Path:
    """The label of an object that the bundled detector finds."""
    (folder / "labels.txt").write_text("qr_code\n")
    return folder / "labels.txt"


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
        ("nonsense", "camera.json: not JSON"),
        ("[]", "field 'K' must hold 3x3 numbers"),
        ('{"fx": 300, "fy": 300, "cx": 80}', "no camera, cy is missing; give fx, fy, cx and cy, a 3x3 matrix K"),
        ('{"fx": 0, "fy": 300, "cx": 80, "cy": 60}', "with fx and fy above 0"),
        ('{"K": [[300, 2, 80], [0, 300, 60], [0, 0, 1]]}', "the rows fx 0 cx, 0 fy cy and 0 0 1"),
        ('{"fx": NaN, "fy": 300, "cx": 80, "cy": 60}', "fx and fy above 0"),
        ('{"fx": "300", "fy": {}, "cx": 80, "cy": 60}', "field 'K' must hold 3x3 numbers"),
        ('{"7": {"cam_K": [300, 0, 80, 0, 300, 60, 0, 0, 1]}}', "has no camera of this picture"),
        ('{"fx": 300, "fy": 300, "cx": 80, "cy": 60, "depth_scale": 0}', "'depth_scale' must hold mm, above 0"),
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
        ("pvnet", "[", 3, "solid.json: not JSON"),
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


@pytest.fixture
def marker(pictures: Path) -> np.ndarray:
    """A picture with a QR code, 000007.png beside the others, with its depth in depth/."""
    code = symbols.qr_code(np.random.default_rng(2)).image
    image = np.full((240, 320, 3), 200, np.uint8)
    side = 120
    code = cv2.resize(code, (side, side), interpolation=cv2.INTER_NEAREST)
    image[60 : 60 + side, 90 : 90 + side] = code if code.ndim == 3 else code[..., None]
    cv2.imwrite(str(pictures / "000007.png"), image)
    rows, columns = np.mgrid[:240, :320]
    Path("depth").mkdir()
    cv2.imwrite("depth/000007.png", (600 + 0.3 * rows + 0.2 * columns).astype(np.uint16))
    return image


def mean_of_points(box: list[float], depth: np.ndarray) -> np.ndarray:
    """The mean of 96 points of the box, taken at equal steps."""
    x1, y1, width, height = map(int, box)
    x2, y2 = x1 + width, y1 + height
    places = [(x, y) for y in range(y1, min(y2, 240)) for x in range(x1, min(x2, 320))]
    chosen = [places[i * len(places) // 96] for i in range(96)]
    z = np.array([float(depth[y, x]) for x, y in chosen])
    x, y = np.array(chosen).T
    return np.stack(((x - 80) / 300 * z, (y - 60) / 310 * z, z)).mean(1)


def test_a_detector_finds_the_boxes(cdpn: Path, g2l: Path, pictures: Path, marker: np.ndarray) -> None:
    given = [str(pictures / "000007.png"), "--model", "gfl_markers", "--camera", "camera.json", "--json", "found.json"]
    depth = cv2.imread("depth/000007.png", cv2.IMREAD_UNCHANGED)
    [box] = load("gfl_markers")(marker).boxes
    for model, own, options in ((cdpn, [], {}), (g2l, ["--depth", "depth"], {"depth": depth})):
        assert detinfer([*given, "--pose-model", str(model), *own, "--save-bop", "bop.csv", "--out", "out"]) == 0
        [record] = json.loads(Path("found.json").read_text())
        assert record["category"] == "qr_code"
        np.testing.assert_allclose(record["bbox"], [*box[:2], *(box[2:] - box[:2])], atol=0.01)
        [pose] = load(model)(marker, [box], camera=K, **options).rigid_poses
        both = load("gfl_markers", pose_model=str(model))(marker, camera=K, **options)
        np.testing.assert_allclose(both.rigid_poses[0], pose, atol=1e-4)
        if np.isnan(pose).any():  # random weights of CDPN may fit none
            assert record["rotation"] is None
        else:
            np.testing.assert_allclose(record["rotation"], pose[:, :3], atol=1e-4)
            np.testing.assert_allclose(record["translation"], pose[:, 3], atol=1e-3)
        assert Path("out/000007.png").is_file()
    np.testing.assert_allclose(record["rotation"], TURN, atol=1e-5)
    np.testing.assert_allclose(record["translation"], mean_of_points(record["bbox"], depth), rtol=1e-4)
    assert len(Path("bop.csv").read_text().splitlines()) == 2


def test_points_in_given_boxes(g2l: Path, pictures: Path, marker: np.ndarray) -> None:
    boxes = [{"image": "000007.png", "bbox": box} for box in ([90, 60, 120, 120], [300, 220, 30, 30], [400, 20, 9, 9])]
    Path("boxes.json").write_text(json.dumps(boxes))
    given = [str(pictures / "000007.png"), "--model", str(g2l), "--boxes", "boxes.json", "--camera", "camera.json"]
    assert detinfer([*given, "--depth", "depth/000007.png", "--json", "found.json", "--no-save"]) == 0
    *inside, outside = json.loads(Path("found.json").read_text())
    assert (outside["rotation"], outside["score"]) == (None, 0)
    depth = cv2.imread("depth/000007.png", cv2.IMREAD_UNCHANGED)
    for record in inside:
        np.testing.assert_allclose(record["translation"], mean_of_points(record["bbox"], depth), rtol=1e-4)
    cv2.imwrite("depth/tenths.png", depth * 10)
    Path("camera.json").write_text(json.dumps({"7": {"cam_K": np.ravel(K).tolist(), "depth_scale": 0.1}}))
    assert detinfer([*given, "--depth", "depth/tenths.png", "--json", "tenths.json", "--no-save"]) == 0
    assert json.loads(Path("tenths.json").read_text()) == json.loads(Path("found.json").read_text())
    found = load(g2l)([marker, marker], [[[90, 60, 210, 180]]] * 2, camera=[K, K], depth=[depth, depth - 100])
    nearer = [one.rigid_poses[0, 2, 3] for one in found]
    assert nearer[0] - nearer[1] == pytest.approx(100, abs=0.01)
    assert timed(g2l, pictures) == 0


def test_depth_that_does_not_fit(
    g2l: Path, cdpn: Path, pictures: Path, marker: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    cv2.imwrite("grey.png", np.zeros((240, 320), np.uint8))
    cv2.imwrite("small.png", np.zeros((240, 319), np.uint16))
    Path("text.png").write_text("no picture")
    Path("empty").mkdir()
    Path("empty/other.png").write_bytes(Path("small.png").read_bytes())
    given = [str(pictures / "000007.png"), "--camera", "camera.json", "--no-save", "--model", "gfl_markers"]
    for model, rest, code, said in (
        (g2l, [], 2, "g2l_test looks at points in space; give a depth picture, or a folder, with --depth"),
        (cdpn, ["--depth", "depth"], 2, "--depth is for networks that look at points in space, which"),
        (g2l, ["--depth", "grey.png"], 3, "no depth picture but a picture of shape (240, 320) uint8; give a PNG"),
        (g2l, ["--depth", "text.png"], 3, "text.png: no depth picture but no picture; give a PNG"),
        (g2l, ["--depth", "small.png"], 3, "its depth is small.png, but they have 320x240 and 319x240 px"),
        (g2l, ["--depth", "empty"], 3, "has no depth picture in empty; no file there has its name; name both alike"),
        (g2l, ["--depth", "nowhere"], 3, "nowhere"),
    ):
        assert detinfer([*given, "--pose-model", str(model), *rest]) == code
        assert said in capsys.readouterr().err
