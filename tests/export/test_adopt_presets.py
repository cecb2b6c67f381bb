"""Every preset reads an object that is planted by hand in outputs of its exporter's shapes.

Detectors see a canvas of 64x96 px: 96, 24, 6 and 2 cells at the strides 8, 16, 32 and 64. The object is at the stride
16, column 3 and row 1.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from foreign_files import write_foreign
from numpy.typing import NDArray

from detforge.deploy import load
from detforge.deploy.system.errors import IncompatibleError
from detforge.export import adopt
from detforge.export.adoption.recipe import preset, presets

HEIGHT, WIDTH = 64, 96
CELLS = {8: 96, 16: 24, 32: 6, 64: 2}
CELL = 9
Outputs = dict[str, NDArray[Any]]


class Planted(NamedTuple):
    """The outputs with one object: its box, score and label, and one of its keypoints."""

    outputs: Outputs
    box: list[float]
    score: float
    label: int = 0
    keypoint: tuple[float, float] | None = None
    further: dict[str, int] | None = None


def rows(count: int, width: int, at: int, values: list[float]) -> NDArray[np.float32]:
    """Rows of zeros (1, count, width) with values in one."""
    made = np.zeros((1, count, width), np.float32)
    made[0, at, : len(values)] = values
    return made


def bins(*sides: int) -> list[float]:
    """Logits whose softmax is all at one of 8 bins, for each side."""
    return [50.0 * (i == side) for side in sides for i in range(8)]


def yolox() -> Planted:
    values = [0.25, -0.5, math.log(2), math.log(1.5), 0.9, 0, 0.8]
    return Planted({"output": rows(126, 7, 96 + CELL, values)}, [36, -4, 68, 20], 0.72, 1)


def yolox_decoded() -> Planted:
    return Planted({"output": rows(126, 7, 96 + CELL, [52, 8, 32, 24, 0.9, 0, 0.8])}, [36, -4, 68, 20], 0.72, 1)


def nanodet() -> Planted:
    values = [0, 0.9, *bins(2, 1, 0, 1)]
    return Planted({"output": rows(126, 34, 96 + CELL, values)}, [24, 8, 56, 40], 0.9, 1)


def nanodet_plus() -> Planted:
    values = [0, 0.9, *bins(2, 1, 0, 1)]
    return Planted({"output": rows(128, 34, 96 + CELL, values)}, [16, 0, 48, 32], 0.9, 1)


def picodet() -> Planted:
    made: Outputs = {}
    for i, (stride, count) in enumerate(CELLS.items()):
        made[f"transpose_{2 * i}.tmp_0"] = rows(count, 2, CELL if stride == 16 else 0, [0, 0.9 * (stride == 16)])
    for i, count in enumerate(CELLS.values()):
        made[f"transpose_{2 * i + 1}.tmp_0"] = np.tile(np.array(bins(2, 1, 0, 1), np.float32), (1, count, 1))
    return Planted(made, [24, 8, 56, 40], 0.9, 1)


def faces(parts: dict[str, list[float]], anchors: int = 1, batch: bool = True) -> Outputs:
    """Outputs of three levels, in the order of the parts, with the values at the last anchor of the object's cell."""
    made: Outputs = {}
    for part, values in parts.items():
        for stride in (8, 16, 32):
            count = CELLS[stride] * anchors
            at, own = (CELL * anchors + anchors - 1, values) if stride == 16 else (0, [])
            value = rows(count, len(values), at, own)
            made[f"{part}_{stride}"] = value if batch else value[0]
    return made


def yunet() -> Planted:
    parts = {
        "cls": [0.81],
        "obj": [0.64],
        "bbox": [0.25, -0.5, math.log(2), math.log(1.5)],
        "kps": [0.5, 0.25] + [0.0] * 8,
    }
    return Planted(faces(parts), [36, -4, 68, 20], 0.72, 0, (56, 20))


def scrfd() -> Planted:
    parts = {"446": [0.9], "449": [1, 0.5, 1.5, 2], "452": [0.5, 0.25] + [0.0] * 8}
    return Planted(faces(parts, anchors=2, batch=False), [32, 8, 72, 48], 0.9, 0, (56, 20))


def retinaface() -> Planted:
    at = 2 * (96 + CELL) + 1  # the prior of 128 px around (56, 24)
    outputs = {
        "output0": rows(252, 4, at, [0.5, -0.5, math.log(0.25) / 0.2, math.log(0.125) / 0.2]),
        "590": rows(252, 2, at, [0.1, 0.9]),
        "589": rows(252, 10, at, [1, 0.5]),
    }
    return Planted(outputs, [46.4, 9.6, 78.4, 25.6], 0.9, 1, (68.8, 30.4))


def ultraface() -> Planted:
    outputs = {"scores": rows(50, 2, 7, [0.1, 0.9]), "boxes": rows(50, 4, 7, [0.25, 0.25, 0.5, 0.75])}
    return Planted(outputs, [24, 16, 48, 48], 0.9, 1)


def centerface() -> Planted:
    made: Outputs = {}
    parts = {"537": [0.9], "538": [math.log(6), math.log(8)], "539": [0.25, 0.5], "540": [0.5, 0.25] + [0.0] * 8}
    for name, values in parts.items():
        made[name] = np.zeros((1, len(values), HEIGHT // 4, WIDTH // 4), np.float32)
        made[name][0, :, 5, 10] = values
    return Planted(made, [28, 11, 60, 35], 0.9, 0, (36, 23))


def cells(corners: str) -> Callable[[], Planted]:
    """A cell of a table at column 10 and row 5 of the stride 4, beside a weaker one that is no peak."""

    def planted() -> Planted:
        made: Outputs = {"hm": np.full((1, 2, HEIGHT // 4, WIDTH // 4), -9, np.float32)}
        made["hm"][0, 0, 5, 10:12] = [math.log(9), math.log(4)]
        for name, values in ((corners, [3, 2, -3, 2, -3, -2, 3, -2]), ("reg", [0.5, 0.25])):
            made[name] = np.zeros((1, len(values), HEIGHT // 4, WIDTH // 4), np.float32)
            made[name][0, :, 5, 10] = values
        return Planted(made, [30, 13, 54, 29], 0.9, 0, (30, 13))

    return planted


def picodet_nms() -> Planted:
    table = np.array([[1, 0.9, 10, 12, 40, 44], [-1, 0, 0, 0, 0, 0]], np.float32)
    outputs: Outputs = {"multiclass_nms3_0.tmp_0": table, "multiclass_nms3_0.tmp_2": np.array([1], np.int32)}
    return Planted(outputs, [10, 12, 40, 44], 0.9, 1, further={"scale_factor": 2})


def ppyoloe() -> Planted:
    scores = np.zeros((1, 80, 50), np.float32)
    scores[0, 5, 7] = 0.9
    return Planted({"tmp_16": rows(50, 4, 7, [36, 18, 68, 42]), "concat_1": scores}, [36, 18, 68, 42], 0.9, 5)


def rtdetr() -> Planted:
    outputs: Outputs = {
        "labels": np.array([[3, 2]], np.int64),
        "boxes": np.array([[[10, 12, 40, 44], [1, 1, 2, 2]]], np.float32),
        "scores": np.array([[0.9, 0.1]], np.float32),
    }
    return Planted(outputs, [10, 12, 40, 44], 0.9, 3, further={"orig_target_sizes": 2})


def rf_detr() -> Planted:
    logits = np.full((1, 20, 91), -9, np.float32)
    logits[0, 4, 90] = math.log(9)  # COCO's toothbrush
    boxes = np.full((1, 20, 4), 0.25, np.float32)
    return Planted({"dets": boxes, "labels": logits}, [12, 8, 36, 24], 0.9, 90)


def ultralytics() -> Planted:
    return Planted(
        {"output0": rows(126, 6, 96 + CELL, [52, 30, 32, 24, 0.2, 0.9]).swapaxes(1, 2)}, [36, 18, 68, 42], 0.9, 1
    )


def ultralytics_pose() -> Planted:
    values = [52, 30, 32, 24, 0.9, 50, 31, 0.7] + [0.0] * 48
    return Planted({"output0": rows(126, 56, 96 + CELL, values).swapaxes(1, 2)}, [36, 18, 68, 42], 0.9, 0, (50, 31))


def ultralytics_v5() -> Planted:
    return Planted({"output": rows(378, 7, 300, [52, 30, 32, 24, 0.9, 0, 0.8])}, [36, 18, 68, 42], 0.72, 1)


def ultralytics_end2end() -> Planted:
    return Planted({"output0": rows(300, 6, 0, [36, 18, 68, 42, 0.9, 5])}, [36, 18, 68, 42], 0.9, 5)


def db_text() -> Planted:
    maps = np.zeros((1, 1, HEIGHT, WIDTH), np.float32)
    maps[0, 0, 20:40, 30:70] = 0.9  # with its right and lower neighbours 20x40 px, enlarged by 1.6 * 800 / 120
    return Planted({"sigmoid_0.tmp_0": maps}, [19, 9, 81, 51], 0.9, 0)


def mmdeploy() -> Planted:
    outputs: Outputs = {"dets": rows(3, 5, 0, [36, 18, 68, 42, 0.9]), "labels": np.array([[5, -1, -1]], np.int64)}
    return Planted(outputs, [36, 18, 68, 42], 0.9, 5)


def rtmo() -> Planted:
    keypoints = np.zeros((1, 3, 17, 3), np.float32)
    keypoints[0, 0, 0] = [50, 31, 0.7]
    outputs: Outputs = {"dets": rows(3, 5, 0, [36, 18, 68, 42, 0.9]), "keypoints": keypoints}
    return Planted(outputs, [36, 18, 68, 42], 0.9, 0, (50, 31))


DETECTORS: dict[str, Callable[[], Planted]] = {
    "centerface": centerface,
    "cycle-centernet": cells("c2v"),
    "db-text": db_text,
    "lore": cells("wh"),
    "mmdeploy": mmdeploy,
    "nanodet": nanodet,
    "nanodet-plus": nanodet_plus,
    "picodet": picodet,
    "picodet-nms": picodet_nms,
    "ppyoloe": ppyoloe,
    "retinaface": retinaface,
    "rf-detr": rf_detr,
    "rtdetr": rtdetr,
    "rtmo": rtmo,
    "scrfd": scrfd,
    "ultraface": ultraface,
    "ultralytics": ultralytics,
    "ultralytics-end2end": ultralytics_end2end,
    "ultralytics-pose": ultralytics_pose,
    "ultralytics-v5": ultralytics_v5,
    "yolox": yolox,
    "yolox-decoded": yolox_decoded,
    "yunet": yunet,
}
POSES = ["heatmap", "simcc"]


def test_every_preset_is_here() -> None:
    assert sorted([*DETECTORS, *POSES]) == presets()


def test_the_document_lists_every_preset() -> None:
    text = (Path(__file__).parents[2] / "docs" / "adopt.md").read_text(encoding="utf-8")
    for name in presets():
        assert f"| `{name}` | {preset(name).about} |" in text


@pytest.mark.parametrize("name", DETECTORS)
def test_the_planted_object_is_found(name: str, tmp_path: Path) -> None:
    planted = DETECTORS[name]()
    path = write_foreign(
        tmp_path / "foreign.onnx", planted.outputs, shape=(1, 3, HEIGHT, WIDTH), further=planted.further
    )
    size = (HEIGHT, WIDTH) if name == "centerface" else None
    made = adopt(path, preset_name=name, imgsz=size, output=tmp_path / "ours.onnx")
    found = load(str(made.path), conf=0.5)(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    # Regions of text grow by whole px, and their edges lower the score.
    px, score = (1, 0.07) if name == "db-text" else (1e-4, 1e-5)
    np.testing.assert_allclose(found.boxes, [planted.box], atol=px)
    np.testing.assert_allclose(found.scores, [planted.score], atol=score)
    assert found.labels.tolist() == [planted.label]
    if planted.keypoint is not None:
        np.testing.assert_allclose(found.keypoints[0, 0, :2], planted.keypoint, atol=px)


@pytest.mark.parametrize("name", POSES)
def test_the_planted_keypoint_is_found(name: str, tmp_path: Path) -> None:
    """The box of 192x256 px becomes 240x320 px from (-24, -32), on a canvas of 192x256 px."""
    if name == "simcc":
        x, y = np.zeros((1, 17, 384), np.float32), np.zeros((1, 17, 512), np.float32)
        x[..., 100] = y[..., 300] = 0.8
        outputs, want = {"simcc_x": x, "simcc_y": y}, [50 / 192 * 240 - 24, 150 / 256 * 320 - 32, 0.8]
    else:
        maps = np.zeros((1, 17, 64, 48), np.float32)
        maps[..., 30, 20] = 0.8
        outputs, want = {"output": maps}, [20 / 48 * 240 - 24, 30 / 64 * 320 - 32, 0.8]
    path = write_foreign(tmp_path / "foreign.onnx", outputs, shape=(1, 3, 256, 192))
    made = adopt(path, preset_name=name, output=tmp_path / "ours.onnx")
    assert made.card.skeleton is not None and made.card.skeleton.keypoints[0] == "nose"
    found = load(str(made.path))(np.zeros((256, 192, 3), np.uint8), boxes=[[0, 0, 192, 256]])
    np.testing.assert_allclose(found.keypoints, np.tile(want, (1, 17, 1)), atol=1e-3)


@pytest.mark.parametrize(
    ("name", "outputs"),
    [
        ("mmdeploy", {"dets": np.zeros((1, 0, 5), np.float32), "labels": np.zeros((1, 0), np.int64)}),
        ("rtmo", {"dets": np.zeros((1, 0, 5), np.float32), "keypoints": np.zeros((1, 0, 17, 3), np.float32)}),
        ("ultralytics-end2end", {"output0": np.zeros((1, 0, 6), np.float32)}),
    ],
)
def test_files_may_find_nothing(name: str, outputs: Outputs, tmp_path: Path) -> None:
    path = write_foreign(tmp_path / "foreign.onnx", outputs, shape=(1, 3, HEIGHT, WIDTH))
    made = adopt(path, preset_name=name, output=tmp_path / "ours.onnx")
    assert len(load(str(made.path))(np.zeros((HEIGHT, WIDTH, 3), np.uint8))) == 0


def test_a_detector_without_values_is_refused(tmp_path: Path) -> None:
    path = write_foreign(tmp_path / "foreign.onnx", {"dets": np.zeros((1, 0, 4)), "labels": np.zeros((1, 0, 91))})
    with pytest.raises(IncompatibleError, match="an output without values"):
        adopt(path, preset_name="rf-detr", output=tmp_path / "ours.onnx")
