"""Poses in boxes: crops, batches, keypoints back in the image, scores."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conftest import COLOR_CARD
from pose_stand_in import CANVAS, POSE_CARD, Lights, card, lights

from detforge.deploy.backends.recorded import RecordedBackend
from detforge.deploy.forms import Dense, Heatmaps
from detforge.deploy.pipelines.crops import PoseEstimator
from detforge.deploy.pipelines.detector import Detector
from detforge.deploy.pipelines.top_down import TopDown
from detforge.deploy.system.errors import IncompatibleError, UsageError

PLACES = np.array([[60.25, 70.5], [90.75, 120.0], [70.0, 160.25]])
BOX = (40.0, 50.0, 110.0, 180.0)


def picture(shift: tuple[float, float] = (0, 0)) -> np.ndarray:
    return lights((260, 200), PLACES + shift, 6.0)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("method", ["udp", "gaussfit", "parabola", "quarter"])
def test_lights_are_found_where_they_are(method: str, flip: bool) -> None:
    """The mirrored crop swaps blue and red, so its pairs must be swapped back."""
    backend = Lights()
    estimator = PoseEstimator(backend, card(method=method, flip=flip))
    run = backend.run

    def exchanging(feeds: Any) -> Any:  # a network that knows left from right: the second run is the mirrored one
        mirrored = len(backend.shapes) % 2 == 1
        outputs = run(feeds)
        return {"heatmaps": outputs["heatmaps"][:, ::-1].copy()} if mirrored and flip else outputs

    backend.run = exchanging  # type: ignore[method-assign]
    found = estimator(picture(), [BOX])
    assert found.keypoints is not None
    limit = {"quarter": 1.5, "parabola": 0.5}.get(method, 0.15)
    assert np.abs(found.keypoints[0, :, :2] - PLACES).max() < limit
    assert (found.keypoints[0, :, 2] > 0.8).all()


def test_a_pose_for_every_box_in_their_order() -> None:
    backend = Lights()
    estimator = PoseEstimator(backend, POSE_CARD)
    boxes = [BOX, (0, 0, 5, 5), (-500, -500, -400, -300), BOX, (40, 50, 110, 180.5), (3, 3, 3, 3)]
    found = estimator(picture(), boxes, scores=[0.5, 0.25, 1, 1, 1, 1])
    assert backend.shapes == [(6, 3, *CANVAS)]
    assert found.boxes.tolist() == np.array(boxes, np.float32).tolist()
    assert found.keypoints is not None and found.keypoints.shape == (6, 3, 3)
    assert np.isfinite(found.keypoints).all()
    assert found.scores[0] == pytest.approx(0.5 * found.scores[3])
    assert found.scores[2] == 0
    assert found.names == ("red",) and found.image_size == (200, 260)
    assert set(found.timing) == {"pre", "infer", "post"}


def test_images_of_any_size_share_a_run() -> None:
    backend = Lights()
    estimator = PoseEstimator(backend, POSE_CARD)
    images = [picture(), np.zeros((9, 7, 3), np.uint8), picture((5, 3))]
    boxes: list[Any] = [[BOX], np.empty((0, 4)), [BOX, BOX]]
    together = estimator(images, boxes)
    assert backend.shapes == [(3, 3, *CANVAS)]
    for image, own, found in zip(images, boxes, together, strict=True):
        alone = estimator(image, own)
        np.testing.assert_array_equal(found.keypoints, alone.keypoints)
        np.testing.assert_array_equal(found.scores, alone.scores)
    assert together[1].keypoints is not None and together[1].keypoints.shape == (0, 3, 3)


def test_a_fixed_batch_hides_its_padding() -> None:
    backend = Lights(batch=4)
    found = PoseEstimator(backend, POSE_CARD)(picture(), [BOX] * 6)
    assert backend.shapes == [(4, 3, *CANVAS)] * 2
    assert len(found) == 6 and found.keypoints is not None
    assert (found.keypoints == found.keypoints[0]).all()


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        (None, "lights needs boxes; give them with `boxes`"),
        ([(0, 0, np.nan, 1)], "not finite"),
        ([(5, 0, 1, 1)], "ends before it begins"),
        ([(0, 0, 1e9, 1)], "beyond any image"),
    ],
)
def test_what_is_no_box(boxes: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        PoseEstimator(Lights(), POSE_CARD)(picture(), boxes)


def test_as_many_scores_as_boxes() -> None:
    with pytest.raises(UsageError, match="2 boxes need as many scores"):
        PoseEstimator(Lights(), POSE_CARD)(picture(), [BOX, BOX], [0.5])


def test_a_network_without_the_outputs_of_its_card() -> None:
    backend = Lights()
    backend.outputs = ()
    with pytest.raises(IncompatibleError, match="lacks the output heatmaps"):
        PoseEstimator(backend, POSE_CARD)


def test_quality_of_a_pose() -> None:
    scores = np.array([[0.5, 0.1, 0.3], [0.1, 0.2, 0.0], [np.nan, 0.5, 0.7]], np.float32)
    np.testing.assert_allclose(Heatmaps(least_score=0.2)._quality(scores), [0.4, 0.0, 0.6], atol=1e-6)
    np.testing.assert_allclose(Heatmaps(least_score=None)._quality(scores[:2]), [0.3, 0.1], atol=1e-6)


def detector(boxes: list[tuple[float, ...]], scores: list[float], labels: list[int], kind: str = "hard") -> Detector:
    """A detector that finds the same whatever it is shown."""
    given = np.zeros((1, len(boxes), 3), np.float32)
    given[0, np.arange(len(boxes)), labels] = scores
    outputs = {"boxes": np.array([boxes], np.float32), "scores": given}
    form = Dense((64,), anchors=len(boxes))
    suppress = replace(COLOR_CARD.suppress, kind=kind)
    return Detector(RecordedBackend(outputs, {}), replace(COLOR_CARD, form=form, suppress=suppress))


def test_a_detector_and_a_pose_network_in_one_call() -> None:
    """Of a 64 px canvas, which an image of 256 px fills: two people, one of them twice, and a dog."""
    boxes = [(8, 8, 32, 48), (8, 8, 32, 48.25), (36, 8, 60, 48), (8, 8, 32, 48)]
    finder = detector(boxes, [0.9, 0.8, 0.7, 0.95], [2, 2, 2, 0], kind="none")
    backend = Lights()
    people = np.array([[[60, 70], [90, 120], [70, 160]], [[200, 60], [190, 100], [210, 170]]])
    image = lights((256, 256), people[0], 6.0) + lights((256, 256), people[1], 6.0)
    found = TopDown(finder, PoseEstimator(backend, POSE_CARD))(image)
    assert backend.shapes == [(3, 3, *CANVAS)]
    assert found.keypoints is not None
    np.testing.assert_allclose(found.boxes[0], [32, 32, 128, 192])
    assert len(found) == 2, "the second pose is the first one again"
    np.testing.assert_allclose(found.keypoints[..., :2], people, atol=0.2)
    assert found.names == ("red",) and found.labels.tolist() == [0, 0]
    assert (np.diff(found.scores) <= 0).all()
    assert set(found.timing) == {"pre", "infer", "post"}


def test_a_detector_that_finds_nothing_of_interest() -> None:
    finder = detector([(8, 8, 32, 48)], [0.9], [0])
    found = TopDown(finder, PoseEstimator(Lights(), POSE_CARD))(picture())
    assert len(found) == 0 and found.keypoints is not None and found.keypoints.shape == (0, 3, 3)
    assert found.to_coco() == []


def test_a_detector_of_other_things_is_refused() -> None:
    finder = detector([(8, 8, 32, 48)], [0.9], [0])
    with pytest.raises(UsageError, match="needs boxes of person, which colors does not detect"):
        TopDown(finder, PoseEstimator(Lights(), replace(POSE_CARD, labels=("person",))))


def test_poses_in_coco_form() -> None:
    found = PoseEstimator(Lights(), POSE_CARD)(picture(), [BOX], [0.5])
    (record,) = found.to_coco("a.jpg")
    assert record["image"] == "a.jpg" and record["category"] == "red" and record["label"] == 0
    assert record["bbox"] == [40, 50, 70, 130]
    assert found.keypoints is not None
    np.testing.assert_allclose(record["keypoints"], found.keypoints[0].ravel(), atol=1e-3)


@pytest.mark.slow
def test_poses_are_a_list() -> None:
    found = PoseEstimator(Lights(), POSE_CARD)(picture(), [BOX, (0, 0, 9, 9)])
    assert [one.keypoints.shape for one in found if one.keypoints is not None] == [(1, 3, 3)] * 2
    assert found[found.scores > 0.5].keypoints.shape == (1, 3, 3)  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="read-only"):
        found.keypoints[0] = 0  # type: ignore[index]
    points = found.to_supervision()
    assert points.xy.shape == (2, 3, 2)
