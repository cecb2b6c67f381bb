"""Hands and faces in the poses of whole bodies: their boxes, and a second pose network on each."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from pose_stand_in import CANVAS, POSE_CARD, Lights, lights, write_lights_model

from detforge.deploy import PoseEstimator, load
from detforge.deploy.contract.skeleton import Skeleton
from detforge.deploy.detinfer import cli
from detforge.deploy.pipelines.parts import Parts, parts_of
from detforge.deploy.system.errors import UsageError
from detforge.models.skeletons import COCO_PERSON, FACE_68, WHOLE_BODY

# The lights are the hand of a body: blue and green its ends, and red what lies between.
NAMES = ("left_hand_blue", "left_hand_green", "left_hand_red")
BODY = replace(POSE_CARD, skeleton=Skeleton(NAMES, (), (), (0.05,) * 3))
HANDS = replace(POSE_CARD, model="hands", labels=("hand",))
PLACES = np.array([[60, 70], [90, 120], [70, 160]])
BOX = [40, 50, 110, 180]


def test_parts_are_told_by_names() -> None:
    assert [len(part) for part in parts_of(WHOLE_BODY, "hand")] == [21, 21]
    assert [len(part) for part in parts_of(WHOLE_BODY, "face")] == [68]
    assert parts_of(WHOLE_BODY, "hand")[0][0] == WHOLE_BODY.keypoints.index("left_hand_wrist")
    for skeleton in (COCO_PERSON, FACE_68, None):
        assert not parts_of(skeleton, "hand")


def body(places: np.ndarray, strength: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    image = lights((260, 200), places, 6.0)
    return (image * strength).astype(np.uint8), np.array([BOX], np.float32)


def test_the_box_of_a_hand_is_around_its_keypoints() -> None:
    hands = Lights()
    parts = Parts(PoseEstimator(Lights(), BODY), PoseEstimator(hands, HANDS))
    assert parts.takes_boxes
    image, boxes = body(PLACES)
    found = parts(image, boxes=boxes)
    assert [found.names[label] for label in found.labels] == ["hand"]
    np.testing.assert_allclose(found.boxes, [[60, 70, 90, 160]], atol=0.5)
    np.testing.assert_allclose(found.keypoints[0, :, :2], PLACES, atol=0.2)
    assert hands.shapes == [(1, 3, *CANVAS)]
    # All images at once, one of them without anything.
    dark = np.zeros_like(image)
    one, none = parts([image, dark], boxes=[boxes, boxes])
    np.testing.assert_array_equal(one.keypoints, found.keypoints)
    assert len(none) == 0 and none.keypoints.shape == (0, 3, 3)


def test_faint_keypoints_are_outside() -> None:
    """Of three keypoints one may be missing; with two missing the hand is left out."""
    parts = Parts(PoseEstimator(Lights(), BODY), PoseEstimator(Lights(), HANDS))
    image, boxes = body(PLACES)
    image[..., 2] //= 5
    np.testing.assert_allclose(parts(image, boxes=boxes).boxes, [[60, 70, 90, 120]], atol=0.5)
    image[..., 1] //= 5
    assert len(parts(image, boxes=boxes)) == 0


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_lights_model(Path("body.onnx"), BODY)
    write_lights_model(Path("person.onnx"), replace(BODY, labels=("red",)))
    write_lights_model(Path("hands.onnx"), HANDS)
    return tmp_path


def test_files_become_a_chain(files: Path, color_model: Path) -> None:
    """A detector, whole bodies in its boxes, and their hands; options reach the pose networks."""
    image, boxes = body(PLACES)
    both = load("body.onnx", pose_model="hands.onnx", decode="argmax")
    assert isinstance(both, Parts) and both.estimator.card.form.method == "argmax"
    found = both(image, boxes=boxes)
    np.testing.assert_allclose(found.keypoints[0, :, :2], PLACES, atol=5)  # whole px of the map
    assert both.reopen is not None
    np.testing.assert_array_equal(both.reopen()(image, boxes=boxes).keypoints, found.keypoints)
    chain = load(str(color_model), pose_model=["person.onnx", "hands.onnx"], conf=0.1)
    assert not chain.takes_boxes and chain.skeleton == HANDS.skeleton
    assert [chain.estimator.card.labels[i] for i in chain(image).labels] == ["hand"] * len(chain(image))
    with pytest.raises(UsageError, match="finds poses itself"):
        load(str(color_model), pose_model=["person.onnx", "person.onnx"])


def test_the_command(files: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cv2.imwrite("a.png", body(PLACES)[0])
    Path("boxes.json").write_text(json.dumps([{"image": "a.png", "bbox": [40, 50, 70, 130]}]))
    argv = ["a.png", "--model", "body.onnx", "--pose-model", "hands.onnx", "--boxes", "boxes.json", "--json", "-"]
    assert cli.main([*argv, "--no-save"]) == 0
    [record] = json.loads(capfd.readouterr().out)
    assert record["category"] == "hand" and len(record["keypoints"]) == 9
