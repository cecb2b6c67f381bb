"""What people write in Python: paths, indices, images that are none, boxes with a fifth column, other processes."""

import copy
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import COLOR_CARD
from pose_stand_in import POSE_CARD, Lights
from test_pipeline import picture

from detforge.deploy import Instances, PoseEstimator, load
from detforge.deploy.columns.quality import Quality
from detforge.deploy.system.errors import InputError, UsageError
from detforge.export import export

IMAGE = picture(64, 64)
BOXES = np.arange(20, dtype=np.float32).reshape(5, 4)


def five() -> Instances:
    """Five detections, which their scores tell apart."""
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5], np.float32)
    return Instances(BOXES, scores, np.zeros(5, np.int64), ("a",), (64, 64)).with_columns(Quality(scores / 2))


@pytest.mark.parametrize(
    ("index", "rows"),
    [
        (1, [1]),
        (-1, [4]),
        (np.int64(1), [1]),
        (np.uint8(4), [4]),
        (np.array(2), [2]),
        (np.array([2]), [2]),
        ([0, -2, 0], [0, 3, 0]),
        ((3, 1), [3, 1]),
        ([], []),
        (np.array([True, False, True, False, False]), [0, 2]),
        ([False, True, False, False, True], [1, 4]),
        (np.flatnonzero([0, 1, 1, 0, 0]), [1, 2]),
        (slice(None, None, 2), [0, 2, 4]),
        (slice(-2, None), [3, 4]),
    ],
)
def test_every_usual_index(index: object, rows: list[int]) -> None:
    chosen = five()[index]
    assert chosen.boxes.tolist() == BOXES[rows].tolist()
    assert chosen.quality.tolist() == five().quality[rows].tolist()
    assert (chosen.scores.dtype, chosen.labels.dtype, chosen.boxes.shape) == (np.float32, np.int64, (len(rows), 4))


@pytest.mark.parametrize("index", [5, -6, np.int64(5), [0, 5], 1.0, [0.5], "a", None, [[0]], True, [True], (0, 1.5)])
def test_other_indices_are_refused(index: object) -> None:
    with pytest.raises(IndexError):
        five()[index]


def test_instances_are_iterated_and_end() -> None:
    assert [one.scores.tolist() for one in five()] == [[score] for score in five().scores]


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (None, "not None; cv2.imread returns None"),
        ("a.jpg", "not the path 'a.jpg'; read the file with cv2.imread"),
        (Path("a.jpg"), "pass the path to stream"),
        (IMAGE.astype(np.float32) / 255, r"\(64, 64, 3\) float32; scale its values to 0..255"),
        (IMAGE.astype(np.uint16), "convert its values to 0..255"),
        (IMAGE > 0, "convert its values"),
        (IMAGE[..., 0], "it is grey"),
        (IMAGE[..., :1], "it is grey"),
        (np.dstack((IMAGE, IMAGE[..., 0])), "alpha channel"),
        (IMAGE.transpose(2, 0, 1), "its channels come first"),
        (IMAGE[None], "as a list"),
        (IMAGE[:0], "it is empty"),
        (3, "a value of type int"),
        (range(3), "a value of type range"),
    ],
)
def test_images_that_are_none_name_the_remedy(color_model: Path, image: object, words: str) -> None:
    detector = load(color_model)
    for given in (image, [IMAGE, image]):
        with pytest.raises(UsageError, match=words):
            detector(given)
    with pytest.raises(UsageError, match=words):
        detector(IMAGE).draw(image)
    with pytest.raises(UsageError, match=words):
        detector.find_tiled(image, 64, 0.2)


def test_an_image_of_pillow_names_the_remedy(color_model: Path) -> None:
    pillow = pytest.importorskip("PIL.Image")
    with pytest.raises(UsageError, match="an image of Pillow; convert it with"):
        load(color_model)(pillow.fromarray(IMAGE))


def test_paths_are_strings_or_paths(color_model: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), IMAGE)
    for kind in (str, Path):
        detector = load(kind(color_model))
        (found,) = detector.stream(kind(tmp_path / "a.png"))
        assert len(found) == 2
        assert found.to_coco(kind("a.png"))[0]["image"] == "a.png"


def test_models_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, color_model: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert load().card.model == load("gfl_markers").card.model == "gfl_markers"
    both = load("gfl_markers", pose_model="corners_markers", decode="dark")
    assert both.estimator.card.model == "corners_markers"
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "color.onnx").write_bytes(color_model.read_bytes())
    assert load().card.model == load("color").card.model == COLOR_CARD.model
    with pytest.raises(UsageError, match="no export of 'colour' in exports/; did you mean color"):
        load("colour")
    with pytest.raises(InputError, match="a folder"):
        load(tmp_path)


def test_boxes_of_another_shape_are_refused() -> None:
    pose = PoseEstimator(Lights(), POSE_CARD)
    five_columns = np.array([[0, 0, 30, 30, 0.9]] * 4)
    with pytest.raises(UsageError, match=r"not \(4, 5\); give the fifth column as `scores`"):
        pose(IMAGE, five_columns)
    assert len(pose(IMAGE, five_columns[:, :4], five_columns[:, 4])) == 4
    for boxes in ([[1, 2, 3]], 5, np.zeros((1, 2, 4)), np.zeros((8,)), [None]):
        with pytest.raises(UsageError, match=r"boxes must be \(n, 4\)"):
            pose(IMAGE, boxes)
    for boxes in ([[1, 2], [1, 2, 3]], "abc", [["a"] * 4]):
        with pytest.raises(UsageError, match="boxes must be an array of numbers"):
            pose(IMAGE, boxes)
    assert len(pose(IMAGE, [0, 0, 30, 30])) == 1
    assert len(pose(IMAGE, [])) == len(pose(IMAGE, np.empty((0, 4)))) == 0


def test_a_list_of_images_needs_as_many_lists() -> None:
    pose = PoseEstimator(Lights(), POSE_CARD)
    box = [[0, 0, 30, 30]]
    assert [len(one) for one in pose([IMAGE, IMAGE], [box, box * 2], [[0.5], [0.5, 0.4]])] == [1, 2]
    for given in ({"boxes": [box]}, {"boxes": [box, box], "scores": [[1.0]]}):
        with pytest.raises(UsageError, match="2 images need a list of as many"):
            pose([IMAGE, IMAGE], **given)


def test_inputs_that_a_network_does_not_take_are_refused(color_model: Path) -> None:
    with pytest.raises(UsageError, match="does not take `against`; leave it out"):
        load(color_model)(IMAGE, against=IMAGE)
    with pytest.raises(UsageError, match="does not take `boxes`"):
        load(color_model)(IMAGE, boxes=[[0, 0, 1, 1]])
    with pytest.raises(UsageError, match="does not take `against`"):
        PoseEstimator(Lights(), POSE_CARD)(IMAGE, [[0, 0, 9, 9]], against=IMAGE)


def test_a_copy_opens_the_file_again(color_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(color_model.parent)
    detector = load(color_model.name, conf=0.9, classes=["red"])
    stored = pickle.dumps(detector)
    monkeypatch.chdir(tmp_path)
    for twin in (pickle.loads(stored), copy.deepcopy(detector)):
        assert twin.card == detector.card
        assert twin(IMAGE).to_coco() == detector(IMAGE).to_coco()


def test_what_load_did_not_open_says_so() -> None:
    with pytest.raises(TypeError, match=r"only pipelines that load\(\) opened"):
        pickle.dumps(PoseEstimator(Lights(), POSE_CARD))


@pytest.mark.slow
def test_a_spawned_process_gets_the_model(color_model: Path) -> None:
    detector = load(color_model, threads=1)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        found = pool.submit(detector, IMAGE).result(timeout=300)
    assert found.to_coco() == detector(IMAGE).to_coco()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"conf": "0.3"}, "conf must be a number, not '0.3'"),
        ({"conf": True}, "conf must be a number, not True"),
        ({"max_det": 10.5}, "max_det must be a whole number, not 10.5"),
        ({"classes": "red"}, "classes must be a list of strings, not 'red'"),
        ({"classes": [0]}, "classes must be a list of strings"),
        ({"flip": "no"}, "flip must be True or False"),
        ({"scales": 2}, "scales must be a list of numbers, not 2"),
        ({"device": 0}, "device must be a string, not 0"),
        ({"threads": "2"}, "threads must be a whole number, not '2'"),
        ({"threads": 0}, "threads 0 is out of range; give 1 or more"),
        ({"streams": -1}, "streams -1 is out of range"),
        ({"path": 5}, "path must be a string or a path, not 5"),
        ({"path": ""}, "the model is an empty string"),
        ({"pose_model": [b"a.onnx"]}, "pose_model must be a string or a path"),
    ],
)
def test_options_of_another_type_are_named(color_model: Path, options: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        load(**{"path": color_model} | options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"imgsz": 640}, "imgsz must be 2 whole numbers, not 640"),
        ({"imgsz": (640,)}, "imgsz must be 2 whole numbers"),
        ({"precision": "half"}, "precision must be 'fp32' or 'fp16' or 'bf16' or 'int8', not 'half'"),
        ({"labels": ["a", "b"]}, "labels must be a string or a path"),
        ({"batch": 2.0}, "batch must be a whole number, not 2.0"),
        ({"checkpoint": b"x"}, "checkpoint must be a string or a path"),
        ({"model": 5}, "model must be a string, not 5"),
    ],
)
def test_options_of_an_export_are_checked_too(options: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        export(**{"model": "gfl_test", "checkpoint": "random"} | options)


def test_numbers_of_numpy_are_numbers(color_model: Path) -> None:
    found = load(color_model, conf=np.float32(0.9), max_det=np.int64(1), classes=np.array(["red", "blue"]))
    assert type(found.card.suppress.conf) is float and type(found.card.suppress.max_det) is int
    assert len(found(IMAGE)) == 1


def test_types_are_published() -> None:
    import detforge.deploy
    import detforge.export

    for package in (detforge.deploy, detforge.export):
        assert (Path(package.__file__).parent / "py.typed").is_file()
