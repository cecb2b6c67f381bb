"""AP against pycocotools on random results, and against figures worked out by hand."""

import contextlib
import copy
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detforge.deploy.coco.annotations import AnnotatedImage, Annotations, Category, Object, read_annotations
from detforge.deploy.coco.evaluation import Evaluation
from detforge.deploy.columns import Keypoints
from detforge.deploy.contract.skeleton import Skeleton
from detforge.deploy.results.instances import Instances
from detforge.deploy.system.errors import IncompatibleError, InputError

LABELS = ("stop", "cat", "dog", "extra")
CATEGORIES = {90: "dog", 7: "cat", 3: "stop", 8: "unused"}
POINTS = ("nose", "left", "right")
SKELETON = Skeleton(POINTS, (), ((1, 2),), (0.03, 0.1, 0.08))
SIZE = (300, 200)


def scenes(seed: int, with_keypoints: bool) -> tuple[dict[str, Any], dict[int, Instances]]:
    """Annotations with crowds and objects without visible keypoints, and detections that hit, miss, repeat and tie."""
    rng = np.random.default_rng(seed)
    images = [{"id": int(id), "file_name": f"{id}.jpg"} for id in rng.permutation(30)[:12] * 10**9 + 1]
    annotations: list[dict[str, Any]] = []
    found: dict[int, Instances] = {}
    for image in images:
        g = int(rng.integers(0, 7))
        corner, side = rng.uniform(0, 200, (g, 2)), rng.uniform(5, 120, (g, 2))
        labels = rng.integers(0, 3, g)
        points = corner[:, None] + rng.uniform(0, 1, (g, 3, 2)) * side[:, None]
        for i in range(g):
            row = {"id": len(annotations), "image_id": image["id"], "bbox": [*corner[i].tolist(), *side[i].tolist()]}
            row["category_id"] = next(id for id, name in CATEGORIES.items() if name == LABELS[labels[i]])
            row |= {"area": float(side[i].prod() * rng.uniform(0.3, 1)), "iscrowd": int(rng.random() < 0.2)}
            if with_keypoints:
                seen = rng.integers(0, 3, 3) * (rng.random() < 0.8)
                row["keypoints"] = np.concatenate((points[i], seen[:, None]), 1).ravel().tolist()
                row["num_keypoints"] = int((seen > 0).sum())
            annotations.append(row)
        picked = rng.integers(0, g, 30) if g else np.empty(0, int)
        boxes = np.concatenate((corner, corner + side), 1)[picked] + rng.normal(0, 2, (len(picked), 4)).clip(-2.4, 2.4)
        scores = np.sort(np.round(rng.uniform(0, 1, len(boxes)), 2))[::-1]
        guesses = np.where(rng.random(len(boxes)) < 0.8, labels[picked], rng.integers(0, 4, len(boxes)))
        one = Instances(boxes.astype(np.float32), scores.astype(np.float32), guesses, LABELS, SIZE)
        if with_keypoints:
            poses = points[picked] + rng.normal(0, 3, (len(picked), 3, 2))
            poses = np.concatenate((poses, np.ones((len(picked), 3, 1))), 2).astype(np.float32)
            one = one.with_columns(Keypoints(poses, SKELETON, np.ones(len(poses), np.float32)))
        found[image["id"]] = one
    categories = [{"id": id, "name": name, "keypoints": list(POINTS)} for id, name in CATEGORIES.items()]
    return {"images": images, "annotations": annotations, "categories": categories}, found


def reference(truth: dict[str, Any], results: list[dict[str, Any]], kind: str) -> list[float]:
    """AP, AP50 and AP75 in percent by pycocotools. It takes an annotation with the id 0 for none."""
    truth, results = copy.deepcopy((truth, results))
    for i, row in enumerate(truth["annotations"]):
        row["id"] = i + 1
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), kind)
        if kind == "keypoints":
            evaluation.params.kpt_oks_sigmas = np.array(SKELETON.sigmas)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [100 * float(value) for value in evaluation.stats[:3]]


def evaluated(truth: dict[str, Any], found: dict[int, Instances], folder: Path, skeleton: Skeleton | None = None):
    (folder / "truth.json").write_text(json.dumps(truth))
    annotations = read_annotations(folder / "truth.json", folder)
    evaluation = Evaluation(annotations, LABELS, skeleton)
    for image in annotations.images:
        evaluation.add(image, found[image.id])
    return evaluation


@pytest.mark.parametrize("kind", ["bbox", "keypoints"])
@pytest.mark.parametrize("seed", range(4))
def test_equals_pycocotools(seed: int, kind: str, tmp_path: Path) -> None:
    truth, found = scenes(seed, kind == "keypoints")
    evaluation = evaluated(truth, found, tmp_path, SKELETON if kind == "keypoints" else None)
    accuracy = evaluation.accuracy()
    expected = reference(truth, evaluation.results, kind)
    assert [accuracy.ap, accuracy.ap50, accuracy.ap75] == pytest.approx(expected, abs=1e-9)
    assert 5 < accuracy.ap < 95
    assert accuracy.of == {"bbox": "boxes", "keypoints": "keypoints"}[kind]
    for name, one in accuracy.classes.items():
        alone = {**truth, "annotations": [a for a in truth["annotations"] if CATEGORIES[a["category_id"]] == name]}
        expected = reference(alone, evaluation.results, kind)
        assert [one.ap, one.ap50, one.ap75] == pytest.approx(expected, abs=1e-9)
    assert sorted(accuracy.classes) == ["cat", "dog", "stop"]


def test_results_have_the_fields_of_coco(tmp_path: Path) -> None:
    truth, found = scenes(0, with_keypoints=True)
    results = evaluated(truth, found, tmp_path, SKELETON).results
    assert {frozenset(row) for row in results} == {frozenset(("image_id", "category_id", "bbox", "score", "keypoints"))}
    assert len(results) == sum(int((one.labels < 3).sum()) for one in found.values())
    assert {row["category_id"] for row in results} == {3, 7, 90}


def of_boxes(*objects: Object, name: str = "cat") -> Annotations:
    image = AnnotatedImage(5, "a.jpg", Path("a.jpg"), objects)
    return Annotations(Path("t.json"), (image,), {1: Category(name)})


def instances(boxes: list[list[float]], scores: list[float], label: int = 1) -> Instances:
    rows = np.array(boxes, np.float32).reshape(-1, 4)
    return Instances(rows, np.array(scores, np.float32), np.full(len(rows), label), LABELS, SIZE)


@pytest.mark.parametrize(
    ("boxes", "scores", "expected"),
    [
        ([[0, 0, 10, 10], [50, 50, 60, 60]], [0.9, 0.8], (100.0, 100.0, 100.0)),
        ([[0, 0, 10, 8], [50, 50, 60, 60]], [0.9, 0.8], (85.0, 100.0, 100.0)),  # IoU 0.8: right at 7 of 10 thresholds
        ([[20, 20, 30, 30], [0, 0, 10, 10]], [0.9, 0.8], (50 * 51 / 101,) * 3),  # one wrong before one of two
        ([], [], (0.0, 0.0, 0.0)),
    ],
)
def test_by_hand(boxes: list[list[float]], scores: list[float], expected: tuple[float, float, float]) -> None:
    annotations = of_boxes(Object(1, (0, 0, 10, 10)), Object(1, (50, 50, 10, 10)))
    evaluation = Evaluation(annotations, LABELS)
    evaluation.add(annotations.images[0], instances(boxes, scores))
    accuracy = evaluation.accuracy()
    if boxes and boxes[0][3] == 8:
        # Where the first is wrong, the second is at a precision of a half for half of the recalls.
        expected = ((7 * 100 + 3 * 50 * 51 / 101) / 10, 100.0, 100.0)
    assert (accuracy.ap, accuracy.ap50, accuracy.ap75) == pytest.approx(expected, abs=1e-9)


def test_a_class_that_the_model_lacks_is_refused() -> None:
    with pytest.raises(InputError, match="no label 'catt'; it has cat; rename"):
        Evaluation(of_boxes(Object(1, (0, 0, 1, 1)), name="catt"), LABELS)
    with pytest.raises(InputError, match="no object is annotated"):
        Evaluation(of_boxes(), LABELS)


def test_other_keypoints_are_refused() -> None:
    points = (1.0, 1.0, 2.0) * 2
    image = AnnotatedImage(5, "a.jpg", Path("a.jpg"), (Object(1, (0, 0, 9, 9), keypoints=points),))
    annotations = Annotations(Path("t.json"), (image,), {1: Category("cat", ("tip", "base"))})
    with pytest.raises(InputError, match="has 2 keypoints, but the model finds 3"):
        Evaluation(annotations, LABELS, SKELETON)
    both = {1: Category("cat", ("nose", "left")), 2: Category("dog", ("left", "nose"))}
    objects = tuple(Object(id, (0, 0, 9, 9), keypoints=points) for id in both)
    annotations = Annotations(Path("t.json"), (replace(image, objects=objects),), both)
    with pytest.raises(InputError, match="in different orders"):
        Evaluation(annotations, LABELS, SKELETON)


def test_keypoints_are_matched_by_name(tmp_path: Path) -> None:
    """A model with one more keypoint, as OpenPose's neck, and another order has the AP of the annotated ones."""
    truth, found = scenes(1, with_keypoints=True)
    expected = evaluated(truth, found, tmp_path, SKELETON)
    more = Skeleton(("right", "neck", "nose", "left"), (), ((0, 3),), (0.08, 0.5, 0.03, 0.1))
    others = {}
    for id, one in found.items():
        values = one.keypoints[:, [2, 0, 0, 1]]
        values[:, 1, :2] += 40
        others[id] = one.with_columns(Keypoints(values, more, one.columns["keypoints"].areas))
    again = evaluated(truth, others, tmp_path, more)
    assert again.results == expected.results
    assert again.accuracy() == expected.accuracy()


def test_the_package_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "faster_coco_eval", None)
    with pytest.raises(IncompatibleError, match=r"pip install 'detforge\[eval\]'"):
        Evaluation(of_boxes(Object(1, (0, 0, 1, 1))), LABELS).accuracy()
