"""Comparison with a framework's own results, against pairs counted by hand."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from detforge.deploy.card import Provenance
from detforge.deploy.coco.annotations import read_annotations
from detforge.deploy.columns.keypoints import Keypoints
from detforge.deploy.contract.skeleton import Skeleton
from detforge.deploy.results.instances import Instances
from detforge.deploy.system.errors import InputError, UsageError
from detforge.export import export
from detforge.export.cli import main
from detforge.export.reference import Found, matched, read_results
from detforge.models.zoo import find

BOX = [10, 10, 20, 20]  # COCO's: left, top, width, height


BOXES = replace(find("gfl_test").card(("a", "b"), Provenance("c.pth", None, "fp32", {})), skeleton=None)


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
    theirs = Found(np.array([[0.0, 0, 10, 10]]), np.array([0.5]), np.array([0]), np.zeros((1, 0, 3)))
    assert len(matched(instances(*ours), theirs, BOXES)) == expected


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
    found = read_results(tmp_path / "results.json", annotations, BOXES)
    assert found[7].boxes.shape == (0, 4)
    assert found[9].boxes.tolist() == [[10, 10, 30, 30]]
    assert found[9].labels.tolist() == [1]


UNKNOWN = {"image_id": 7, "category_id": 8, "bbox": BOX, "score": 1}


@pytest.mark.parametrize("rows", ["{", "[1]", '[{"image_id": 1}]', json.dumps([UNKNOWN])])
def test_what_are_no_results_is_told(rows, tmp_path):
    (folder(tmp_path, []) / "results.json").write_text(rows)
    annotations = read_annotations(tmp_path / "annotations.json", tmp_path)
    with pytest.raises(InputError, match=r"results\.json: not (JSON|in COCO's result format)"):
        read_results(tmp_path / "results.json", annotations, BOXES)


def test_an_export_tells_how_many_detections_it_finds(tmp_path):
    """What the exported file finds without the option, given to it as the framework's, is found again."""
    from detforge.deploy import load

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


SQUARE = Skeleton(("a", "b", "c", "d"), (), (), (0.1,) * 4)
POSES = find("hrnet_test").card(("person",), Provenance("c.pth", None, "fp32", {}), SQUARE)


@pytest.mark.parametrize(
    ("moved", "changed", "expected"),
    [
        (0.0, 0.0, 1),
        (6.0, 0.0, 1),  # on average exp(-36 / (2 * 0.04 * 10000)) = 0.956
        (7.0, 0.0, 0),  # 0.941
        (0.0, 0.009, 1),
        (0.0, 0.011, 0),
    ],
)
def test_what_counts_as_the_same_pose(moved, changed, expected):
    corners = np.array([[0, 0, 0.5], [100, 0, 0.5], [100, 100, 0.5], [0, 100, 0.5]])
    column = Keypoints(
        (corners + np.array([moved, 0, changed]))[None].astype(np.float32), SQUARE, np.zeros(1, np.float32)
    )
    ours = Instances.around([column], np.array([0.9], np.float32), np.zeros(1, np.int64), ("person",), (200, 200))
    theirs = Found(np.zeros((2, 4)), np.array([0.2, 0.1]), np.zeros(2, np.int64), np.stack((corners, corners + 50)))
    assert matched(ours, theirs, POSES) == [(0, 0)] * expected


def test_an_export_tells_how_many_poses_it_finds(tmp_path, capsys):
    """What the exported file finds in annotated boxes, given to it as the framework's, is found again."""
    from detforge.deploy import load

    images, file = tmp_path / "images", str(tmp_path / "m.onnx")
    images.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8)
    cv2.imwrite(str(images / "a.png"), pixels)
    person = {"image_id": 7, "category_id": 3, "keypoints": [1, 1, 2] * 17}
    boxes = ([10, 10, 40, 60], [50, 0, 90, 80], [0, 0, 60, 60])
    rows = [{**person, "id": i, "bbox": box} for i, box in enumerate(boxes)]
    rows[2]["keypoints"] = [0] * 51  # not annotated, so no framework runs on it
    names = find("hrnet_test").skeleton.keypoints
    categories = [{"id": 3, "name": "runner", "keypoints": list(names)}]
    annotations = {"images": [{"id": 7, "file_name": "a.png"}], "categories": categories, "annotations": rows}
    (images / "annotations.json").write_text(json.dumps(annotations))
    options = ["--model", "hrnet_test", "--checkpoint", "random", "--verify", "off", "-o", file]
    assert main(options) == 0
    model = load(file)
    found = model(pixels, boxes=np.array([[10, 10, 50, 70], [50, 0, 127, 80]], np.float32))
    results = [
        {"image_id": 7, "category_id": 3, "keypoints": keypoints.flatten().tolist(), "score": 0.5}
        for keypoints in found.keypoints
    ]
    results[1]["keypoints"][0] += 500
    (images / "r.json").write_text(json.dumps(results))
    capsys.readouterr()
    assert main([*options, "--images", str(images), "--reference-json", str(images / "r.json")]) == 0
    assert "the framework's poses: 1 of 2 found, 1 extra, keypoints 0 px apart" in capsys.readouterr().out
    (images / "r.json").write_text(json.dumps([{**results[0], "keypoints": [1, 2, 3]}]))
    assert main([*options, "--images", str(images), "--reference-json", str(images / "r.json")]) == 3
    assert "keypoints of 3 numbers" in capsys.readouterr().err


def test_a_reference_needs_its_images(tmp_path):
    with pytest.raises(UsageError, match="needs the folder of its images"):
        export("gfl_test", checkpoint="random", reference_json="r.json", output=tmp_path / "m.onnx")
