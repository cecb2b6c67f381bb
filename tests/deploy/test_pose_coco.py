"""COCO's own evaluation takes what a pose's `to_coco` gives, and detbench measures the AP of keypoints."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from faster_coco_eval import COCO, COCOeval_faster
from pose_stand_in import lights, write_lights_model

from detforge.deploy.bench import cli
from detforge.deploy.bench.report import read_report
from detforge.deploy.columns import Keypoints
from detforge.deploy.results.instances import Instances
from detforge.models.skeletons import COCO_PERSON

PEOPLE = 4
SIZE = np.array([120, 360])


def truth(poses: np.ndarray, boxes: np.ndarray) -> dict[str, Any]:
    """Annotations of one image."""
    annotations = [
        {
            "id": i + 1,
            "image_id": 139,
            "category_id": 1,
            "iscrowd": 0,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": 0.53 * (x2 - x1) * (y2 - y1),
            "num_keypoints": 17,
            "keypoints": [value for x, y in pose.tolist() for value in (x, y, 2)],
        }
        for i, (pose, (x1, y1, x2, y2)) in enumerate(zip(poses, boxes.tolist(), strict=True))
    ]
    category = {"id": 1, "name": "person", "keypoints": list(COCO_PERSON.keypoints), "skeleton": []}
    images = [{"id": 139, "file_name": "000000000139.jpg", "width": 640, "height": 480}]
    return {"images": images, "annotations": annotations, "categories": [category]}


@pytest.mark.parametrize(("error", "low", "high"), [(0.0, 0.999, 1.0), (8.0, 0.1, 0.9), (400.0, 0.0, 0.01)])
def test_average_precision(error: float, low: float, high: float) -> None:
    rng = np.random.default_rng(0)
    corners = np.array([[20, 20], [180, 40], [330, 30], [480, 60]], np.float32)
    boxes = np.concatenate((corners, corners + SIZE), 1)
    poses = corners[:, None] + rng.uniform(0, 1, (PEOPLE, 17, 2)) * SIZE
    shifts = rng.normal(0, 1, (PEOPLE, 17, 2)) * error
    keypoints = np.concatenate((poses + shifts, np.ones((PEOPLE, 17, 1))), -1).astype(np.float32)
    scores = np.array([0.9, 0.8, 0.7, 0.6], np.float32)
    column = Keypoints(keypoints, COCO_PERSON, np.ones(PEOPLE, np.float32))
    labels = np.zeros(PEOPLE, np.int64)
    found = Instances(boxes, scores, labels, ("person",), (640, 480)).with_columns(column)
    records = [{**record, "image_id": 139, "category_id": 1} for record in found.to_coco("000000000139.jpg")]
    given = COCO(truth(poses, boxes))
    evaluation = COCOeval_faster(given, given.loadRes(records), "keypoints", print_function=lambda *_: None)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert low <= evaluation.stats[0] <= high


LIGHTS = np.array([[60, 70], [90, 120], [70, 160]])


@pytest.mark.parametrize(("shift", "ap"), [(0, 100.0), (60, 0.0)])
def test_detbench_gives_a_pose_network_the_annotated_boxes(
    shift: int, ap: float, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_lights_model(tmp_path / "lights.onnx")
    cv2.imwrite(str(tmp_path / "a.png"), lights((260, 200), LIGHTS, 6.0))
    points = [v for x, y in (LIGHTS + shift).tolist() for v in (x, y, 2)]
    person = {"image_id": 3, "category_id": 6, "bbox": [40, 50, 70, 130], "area": 3000, "keypoints": points}
    unseen = {"image_id": 3, "category_id": 6, "bbox": [0, 0, 30, 30], "area": 900, "keypoints": [0] * 9}
    crowd = {"image_id": 3, "category_id": 6, "bbox": [0, 0, 199, 99], "area": 1000, "iscrowd": 1, "keypoints": [0] * 9}
    truth = {
        "images": [{"id": 3, "file_name": "a.png"}],
        "categories": [{"id": 6, "name": "red", "keypoints": ["blue", "green", "red"]}],
        "annotations": [unseen, person, crowd],
    }
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    flags = ["--duration", "0.05", "--warmup", "0", "--images", str(tmp_path), "--json", str(tmp_path / "r.json")]
    files = ["--annotations", str(tmp_path / "truth.json"), "--coco-results", str(tmp_path / "c.json")]
    assert cli.main([*flags, *files, "--model", str(tmp_path / "lights.onnx")]) == 0
    accuracy = read_report(tmp_path / "r.json").results[0].accuracy
    assert accuracy is not None and (accuracy.of, accuracy.ap) == ("keypoints", ap)
    assert "AP:         of keypoints, 3 objects" in capfd.readouterr().out
    [row] = json.loads((tmp_path / "c.json").read_text())
    assert (row["image_id"], row["category_id"], row["bbox"]) == (3, 6, [40, 50, 70, 130])
    np.testing.assert_allclose(np.array(row["keypoints"]).reshape(-1, 3)[:, :2], LIGHTS, atol=0.1)
