"""Comparison with a framework's own results, against pairs counted by hand."""

import json

import cv2
import numpy as np
import pytest
import torch

from detforge.deploy.coco.annotations import read_annotations
from detforge.deploy.results.instances import Instances
from detforge.deploy.system.errors import InputError, UsageError
from detforge.export import export
from detforge.export.reference import Found, matched, read_results

BOX = [10, 10, 20, 20]  # COCO's: left, top, width, height


def instances(boxes, scores, labels):
    return Instances(
        np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), np.array(labels), ("a", "b"), (64, 64)
    )


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        (([[0, 0, 10, 10]], [0.5], [0]), 1),
        (([[0, 0, 10, 10]], [0.5], [1]), 0),  # another label
        (([[0, 0, 10, 10]], [0.515], [0]), 0),  # another score
        (([[0, 0, 10, 8.9]], [0.5], [0]), 0),  # an IoU of 0.89
        (([[0, 0, 10, 9.1]], [0.505], [0]), 1),
        (([[0, 0, 10, 10], [0, 0, 10, 10]], [0.5, 0.5], [0, 0]), 1),  # one partner each
        (([], [], []), 0),
    ],
)
def test_what_counts_as_the_same_detection(ours, expected):
    theirs = Found(np.array([[0.0, 0, 10, 10]]), np.array([0.5]), np.array([0]))
    assert matched(instances(*ours), theirs) == expected


def folder(path, results):
    annotations = {
        "images": [{"id": 7, "file_name": "a.png"}, {"id": 9, "file_name": "b.png"}],
        "categories": [{"id": 3, "name": "b"}, {"id": 5, "name": "a"}],
        "annotations": [],
    }
    (path / "annotations.json").write_text(json.dumps(annotations))
    (path / "results.json").write_text(json.dumps(results), encoding="utf-8-sig")
    return path


def test_results_are_read_by_image_and_name(tmp_path):
    rows = [{"image_id": 9, "category_id": 3, "bbox": BOX, "score": 0.5}]
    annotations = read_annotations(folder(tmp_path, rows) / "annotations.json", tmp_path)
    found = read_results(tmp_path / "results.json", annotations, ("a", "b"))
    assert found[7].boxes.shape == (0, 4)
    assert found[9].boxes.tolist() == [[10, 10, 30, 30]]
    assert found[9].labels.tolist() == [1]


UNKNOWN = {"image_id": 7, "category_id": 8, "bbox": BOX, "score": 1}


@pytest.mark.parametrize("rows", ["{", "[1]", '[{"image_id": 1}]', json.dumps([UNKNOWN])])
def test_what_are_no_results_is_told(rows, tmp_path):
    (folder(tmp_path, []) / "results.json").write_text(rows)
    annotations = read_annotations(tmp_path / "annotations.json", tmp_path)
    with pytest.raises(InputError, match=r"results\.json: not in COCO's result format"):
        read_results(tmp_path / "results.json", annotations, ("a", "b"))


def test_an_export_tells_how_many_detections_it_finds(tmp_path):
    """What the exported file finds without the option, given to it as the framework's, is found again."""
    from detforge.deploy import load
    from detforge.models.zoo import find

    torch.manual_seed(0)
    network = find("gfl_test").build(2)
    torch.nn.init.zeros_(network.bbox_head.gfl_cls.bias)  # scores of about a half
    torch.save({"state_dict": network.state_dict(), "meta": {"CLASSES": ("a", "b")}}, tmp_path / "c.pth")
    images = tmp_path / "images"
    images.mkdir()
    for seed, name in enumerate(("a.png", "b.png")):
        pixels = np.random.default_rng(seed).integers(0, 255, (64, 64, 3), np.uint8)
        cv2.imwrite(str(images / name), pixels)
    options = {"checkpoint": str(tmp_path / "c.pth"), "imgsz": (64, 64), "verify": "off", "output": tmp_path / "m.onnx"}
    export("gfl_test", **options)
    model, rows = load(str(tmp_path / "m.onnx")), []
    for number, name in ((7, "a.png"), (9, "b.png")):
        found = model(cv2.imread(str(images / name))).to_coco(image=name)
        rows += [{"image_id": number, "category_id": 3 if each["label"] else 5} | each for each in found]
    rows.append({"image_id": 7, "category_id": 3, "bbox": [0, 0, 1, 1], "score": 1.0})
    folder(images, rows)
    exported = export("gfl_test", **options, images=images, reference_json=images / "results.json")
    agreement = exported.agreement
    assert (agreement.expected, agreement.found, agreement.matched) == (len(rows), len(rows) - 1, len(rows) - 1)
    assert len(rows) > 3


def test_a_reference_needs_its_images_and_boxes(tmp_path):
    with pytest.raises(UsageError, match="needs the folder of its images"):
        export("gfl_test", checkpoint="random", reference_json="r.json", output=tmp_path / "m.onnx")
    with pytest.raises(UsageError, match="this network finds poses"):
        export("hrnet_test", checkpoint="random", reference_json="r.json", output=tmp_path / "m.onnx")
