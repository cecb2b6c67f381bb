"""An image in, Instances out: the whole runtime around a network whose answers are known."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import COLOR_CARD, write_color_model

from detforge.deploy import Detector, Instances, load
from detforge.deploy.backends.recorded import RecordedBackend
from detforge.deploy.card import METADATA_KEY, SCHEMA
from detforge.deploy.columns.keypoints import Keypoints
from detforge.deploy.columns.quality import Quality
from detforge.deploy.contract.skeleton import Skeleton
from detforge.deploy.forms import Graph
from detforge.deploy.system.errors import IncompatibleError, UsageError

BLUE, RED = 0, 2


def picture(height: int, width: int) -> np.ndarray:
    """Black with a red top-left and a blue bottom-right quarter, as the colour model wants it."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2, RED] = 255
    image[height // 2 :, width // 2 :, BLUE] = 204
    return image


def test_boxes_come_back_in_image_pixels(color_model: Path) -> None:
    found = load(str(color_model))(picture(256, 256))
    assert found.boxes.tolist() == [[0, 0, 128, 128], [128, 128, 256, 256]]
    assert found.scores.tolist() == pytest.approx([1.0, 0.8], rel=1e-4)
    assert found.labels.tolist() == [RED, BLUE]
    assert found.image_size == (256, 256)
    assert set(found.timing) == {"pre", "infer", "post"}


def test_a_padded_image_is_cut_at_its_border(color_model: Path) -> None:
    found = load(str(color_model), conf=0.1)(picture(48, 64))  # 16 px of padding below
    assert found.boxes.max(0).tolist()[2:] == [64, 48]


def test_a_list_equals_its_images_one_by_one(color_model: Path) -> None:
    detector = load(str(color_model), conf=0.1)
    images = [picture(*size) for size in ((256, 256), (48, 64), (1, 1), (64, 64), (9, 700))]
    for alone, together in zip(map(detector, images), detector(images), strict=True):
        assert alone.boxes.tolist() == together.boxes.tolist()
        assert alone.scores.tolist() == together.scores.tolist()
    assert detector([]) == []


def test_a_fixed_batch_hides_its_padding(color_model: Path) -> None:
    boxes = np.tile(np.array([[0, 0, 32, 32], [32, 32, 64, 64]] * 2, np.float32), (4, 1, 1))
    scores = np.full((4, 4, 3), 0.9, np.float32)
    backend = RecordedBackend({"boxes": boxes, "scores": scores}, {})
    backend.inputs = (replace(backend.inputs[0], shape=(4, 3, 64, 64)),)
    detector = Detector(backend, COLOR_CARD)
    assert len(detector([picture(64, 64)] * 5)) == 5
    assert backend.fed["image"].shape == (4, 3, 64, 64)
    assert not backend.fed["image"][1:].any()


def test_sixteen_threads_share_a_detector(color_model: Path) -> None:
    detector = load(str(color_model), threads=1)
    images = [picture(64 + i, 200 - i) for i in range(32)]
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(detector, images))
    for alone, found in zip(map(detector, images), together, strict=True):
        assert alone.boxes.tolist() == found.boxes.tolist()


def test_overrides_reach_the_card(color_model: Path) -> None:
    detector = load(str(color_model), conf=0.9, classes=["red"])
    assert detector(picture(64, 64)).labels.tolist() == [RED]
    assert len(load(str(color_model), classes=["green"])(picture(64, 64))) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"conf": 1.5}, "conf"),
        ({"max_det": 0}, "max_det"),
        ({"classes": ["pink"]}, "unknown class 'pink'"),
        ({"fusion": 0.5}, "no quality"),
    ],
)
def test_unfit_overrides_are_refused(color_model: Path, options: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load(str(color_model), **options)


@pytest.mark.parametrize(
    ("card", "message"),
    [
        (None, "holds no Card"),
        ("{}", "schema"),
        (f'{{"schema": {SCHEMA + 1}}}', "newer"),
        (COLOR_CARD.to_json().replace('"bgr"', '"cmyk"'), r"inputs\[0\]\.color"),
        (replace(COLOR_CARD, form=Graph()).to_json(), "lacks the output labels"),
    ],
)
def test_a_file_without_a_fitting_card_is_refused(tmp_path: Path, card: str | None, message: str) -> None:
    file = write_color_model(tmp_path / "other.onnx", card)
    with pytest.raises(IncompatibleError, match=message):
        load(str(file))


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_what_is_no_image_is_refused(color_model: Path, image: np.ndarray) -> None:
    with pytest.raises(UsageError, match="uint8 BGR"):
        load(str(color_model))(image)


def instances() -> Instances:
    return Instances(
        np.array([[1, 2, 11.5, 22.25], [0, 0, 4, 4]], np.float32),
        np.array([0.9, 0.5], np.float32),
        np.array([1, 0]),
        ("a", "b"),
        (40, 30),
    )


def test_instances_are_a_list_that_cannot_change() -> None:
    found = instances()
    assert len(found) == 2
    assert [one.scores.item() for one in found] == pytest.approx([0.9, 0.5])
    assert found[found.scores > 0.6].labels.tolist() == [1]
    assert found[-1].boxes.tolist() == [[0, 0, 4, 4]]
    with pytest.raises(IndexError):
        found[2]
    with pytest.raises(ValueError, match="read-only"):
        found.boxes[0] = 0


def test_parts_are_joined_with_their_columns() -> None:
    first, second = (
        instances().with_columns(Quality(np.array([0.1, 0.2]))),
        instances().with_columns(Quality(np.ones(2))),
    )
    both = Instances.joined([first, second[:1]])
    assert both.scores.tolist() == pytest.approx([0.9, 0.5, 0.9])
    assert both.quality.tolist() == [0.1, 0.2, 1.0]
    with pytest.raises(ValueError, match="columns"):
        Instances.joined([first, instances()])


def test_a_column_that_no_model_has_is_no_attribute() -> None:
    assert instances().keypoints is None
    with pytest.raises(AttributeError, match="shape"):
        _ = instances().shape


def test_detections_without_boxes_get_the_bounds_of_their_columns() -> None:
    skeleton = Skeleton(("a", "b", "c"), (), (), (0.1,) * 3)
    points = np.array([[[1, 2, 0.5], [9, 4, 0.5], [50, 50, 0.0]]], np.float32)
    column = Keypoints(points, skeleton, np.ones(1, np.float32))
    one = np.ones(1, np.float32), np.zeros(1, np.int64), ("a",), (60, 60)
    assert Instances.around([column], *one).boxes.tolist() == [[1, 2, 9, 4]]
    assert Instances.around([], *one).boxes.tolist() == [[0, 0, 60, 60]]


def test_to_coco() -> None:
    assert instances().to_coco("x.jpg")[0] == {
        "image": "x.jpg",
        "image_size": [40, 30],
        "bbox": [1.0, 2.0, 10.5, 20.25],
        "score": 0.9,
        "label": 1,
        "category": "b",
    }


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_to_supervision() -> None:
    detections = instances().to_supervision()
    assert detections.xyxy.tolist() == instances().boxes.tolist()
    assert detections.class_id.tolist() == [1, 0]
    assert detections.data["class_name"].tolist() == ["b", "a"]
    assert len(instances()[instances().scores > 2].to_supervision()) == 0


def test_the_card_key_is_a_contract() -> None:
    assert METADATA_KEY == "detforge_card"  # files in the field hold it
