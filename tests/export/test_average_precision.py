"""AP against COCO's evaluation as faster-coco-eval has it, and annotations that are none."""

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest

from detforge.deploy.results.instances import Instances
from detforge.deploy.system.errors import InputError
from detforge.export.average_precision import Truth, average_precision, read_annotations

NAMES = ("a", "b", "c")


def scenes(seed: int, count: int = 12) -> tuple[list[Instances], list[Truth]]:
    """Random truths with crowds among them, and detections that hit, miss, repeat and tie."""
    rng = np.random.default_rng(seed)
    found, truths = [], []
    for _ in range(count):
        g = int(rng.integers(0, 7))
        corner, side = rng.uniform(0, 200, (g, 2)), rng.uniform(5, 80, (g, 2))
        true = np.concatenate((corner, corner + side), 1)
        labels = rng.integers(0, 2, g)
        picked = rng.integers(0, max(g, 1), 15 if g else 0)
        boxes = true[picked] + rng.normal(0, 3, (len(picked), 4)).clip(-2.4, 2.4)  # every side stays positive
        wild = rng.uniform(0, 100, (5, 2))
        boxes = np.concatenate((boxes, np.concatenate((wild, wild + rng.uniform(5, 60, (5, 2))), 1)))
        scores = np.sort(np.round(rng.uniform(0, 1, len(boxes)), 4))[::-1]
        guesses = np.concatenate((labels[picked], rng.integers(0, 3, 5)))
        found.append(
            Instances(boxes.astype(np.float32), scores.astype(np.float32), guesses.astype(np.int64), NAMES, (300, 300))
        )
        truths.append(Truth(Path(), true, labels.astype(np.int64), rng.random(g) < 0.2))
    return found, truths


def reference(found: list[Instances], truths: list[Truth]) -> float:
    """faster-coco-eval's AP, in percent."""
    coco_eval = pytest.importorskip("faster_coco_eval", reason="faster-coco-eval is not installed")
    annotations, results = [], []
    for i, (instances, truth) in enumerate(zip(found, truths, strict=True)):
        for (x1, y1, x2, y2), label, crowd in zip(truth.boxes, truth.labels, truth.is_crowd, strict=True):
            box = [x1, y1, x2 - x1, y2 - y1]
            row = {"image_id": i, "bbox": box, "area": box[2] * box[3], "iscrowd": int(crowd)}
            annotations.append({**row, "category_id": int(label), "id": len(annotations) + 1})
        for (x1, y1, x2, y2), score, label in zip(instances.boxes, instances.scores, instances.labels, strict=True):
            box = [float(v) for v in (x1, y1, x2 - x1, y2 - y1)]
            results.append({"image_id": i, "bbox": box, "score": float(score), "category_id": int(label)})
    categories = [{"id": i, "name": name} for i, name in enumerate(NAMES)]
    truth = {"images": [{"id": i} for i in range(len(found))], "annotations": annotations, "categories": categories}
    with contextlib.redirect_stdout(io.StringIO()):
        coco = coco_eval.COCO(truth)
        evaluation = coco_eval.COCOeval_faster(coco, coco.loadRes(results), "bbox")
        evaluation.run()
    return 100 * float(evaluation.stats[0])


@pytest.mark.parametrize("seed", range(6))
def test_equals_coco(seed: int) -> None:
    found, truths = scenes(seed)
    assert average_precision(found, truths) == pytest.approx(reference(found, truths), abs=1e-3)


def test_perfect_and_empty() -> None:
    truth = Truth(Path(), np.array([[0, 0, 9, 9.0]]), np.array([1]), np.array([False]))
    exact = Instances(truth.boxes.astype(np.float32), np.ones(1, np.float32), truth.labels, NAMES, (10, 10))
    assert average_precision([exact], [truth]) == 100.0
    assert average_precision([exact[:0]], [truth]) == 0.0


def test_annotations(tmp_path: Path) -> None:
    box = {"image_id": 7, "category_id": 3, "bbox": [1, 2, 10, 20], "iscrowd": 1}
    content = {
        "images": [{"id": 7, "file_name": "x.png"}],
        "annotations": [box],
        "categories": [{"id": 3, "name": "b"}],
    }
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    (truth,) = read_annotations(tmp_path, NAMES)
    assert truth.file == tmp_path / "x.png"
    assert (truth.boxes.tolist(), truth.labels.tolist(), truth.is_crowd.tolist()) == ([[1, 2, 11, 22]], [1], [True])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "not in COCO's annotation format"),
        ("[]", "not in COCO's annotation format"),
        ('{"images": [], "annotations": [{}], "categories": []}', "category_id"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1, "name": "zebra"}]}', "no label 'zebra'"),
    ],
)
def test_broken_annotations(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "annotations.json").write_text(text)
    with pytest.raises(InputError, match=problem):
        read_annotations(tmp_path, NAMES)
