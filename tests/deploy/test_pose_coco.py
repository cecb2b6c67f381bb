"""COCO's own evaluation takes what a pose's `to_coco` gives."""

from typing import Any

import numpy as np
import pytest
from faster_coco_eval import COCO, COCOeval_faster

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
