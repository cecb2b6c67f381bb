"""The generated photographs: reproducible, and their boxes where an independent detector finds the symbols."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from detforge.models.checkpoint import load_variant, read_checkpoint
from detforge.models.labels import MARKERS
from detforge.models.zoo import find
from detforge.train.fit import fit
from detforge.train.markers import __main__ as training
from detforge.train.markers.__main__ import BATCH
from detforge.train.markers.dataset import SIZE, Scenes, batches, draw_scenes
from detforge.train.markers.scene import compose
from detforge.train.markers.symbols import LABELS


@pytest.fixture(scope="module")
def scenes():
    return [compose(np.random.default_rng((7, i))) for i in range(60)]


def test_the_labels_are_the_models() -> None:
    assert LABELS == MARKERS


def test_the_same_seed_gives_the_same_scene(scenes) -> None:
    again = compose(np.random.default_rng((7, 3)))
    assert (again.image == scenes[3].image).all()
    assert (again.boxes == scenes[3].boxes).all()


def test_boxes_lie_within_the_photograph(scenes) -> None:
    for scene in scenes:
        assert scene.image.shape == (416, 416, 3) and scene.image.dtype == np.uint8
        assert scene.boxes.shape == (len(scene.labels), 4)
        assert (scene.boxes >= 0).all() and (scene.boxes <= 416).all()
        assert (scene.boxes[:, 2:] > scene.boxes[:, :2]).all()
    labels = np.concatenate([scene.labels for scene in scenes])
    assert set(labels.tolist()) == set(range(len(LABELS)))
    assert any(len(scene.labels) == 0 for scene in scenes)


@pytest.mark.slow
def test_opencv_finds_markers_where_the_boxes_are(scenes) -> None:
    """Every marker that OpenCV decodes has a box that fits it, or lies in the box of its ChArUco board."""
    names = (*(f"DICT_{n}X{n}_1000" for n in (4, 5, 6, 7)), "DICT_APRILTAG_36h11")
    overlaps = []
    for name in names:
        dictionary = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, name))
        detector = cv2.aruco.ArucoDetector(dictionary)
        for scene in scenes:
            for corners in detector.detectMarkers(scene.image)[0]:
                found = np.concatenate((corners[0].min(0), corners[0].max(0)))
                if (found[2:] - found[:2]).min() > 20:
                    overlaps.append(best_overlap(found, scene))
    assert len(overlaps) >= 6  # it decodes the easy ones only
    assert sorted(overlaps)[1] > 0.85  # one false reading, of the bars of a barcode, is its own


def best_overlap(box: np.ndarray, scene) -> float:
    """IoU with the best box of a marker, or of a board that holds the marker."""
    low, high = np.maximum(scene.boxes[:, :2], box[:2]), np.minimum(scene.boxes[:, 2:], box[2:])
    shared = np.clip(high - low, 0, None).prod(1)
    areas = (scene.boxes[:, 2:] - scene.boxes[:, :2]).prod(1)
    own = (box[2:] - box[:2]).prod()
    is_board = scene.labels == LABELS.index("chessboard")
    values = np.where(is_board, shared / own, shared / (areas + own - shared))
    return float(values.max(initial=0))


@pytest.mark.slow
def test_the_training_command_writes_weights_that_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both stages with 32 scenes and one step each."""

    def few(cache: Path, count: int, seed: int, sizes: tuple[int, ...] = (SIZE,)) -> Scenes:
        drawn = [compose(np.random.default_rng((seed, i))) for i in range(BATCH)]
        return Scenes([s.image for s in drawn], [s.boxes for s in drawn], [s.labels for s in drawn])

    monkeypatch.setattr(training, "draw_scenes", few)
    monkeypatch.setattr(training, "fit", lambda *given, steps, **options: fit(*given, steps=1, **options))
    monkeypatch.setattr("sys.argv", ["train", "-o", str(tmp_path / "weights.safetensors")])
    training.main()
    assert capsys.readouterr().out.startswith("wrote ")
    load_variant(find("gfl_markers"), read_checkpoint(tmp_path / "weights.safetensors"))


@pytest.mark.slow
def test_batches_turn_boxes_with_their_pixels(tmp_path: Path) -> None:
    """A red rectangle stays red whatever the turn and the scale."""
    drawn = draw_scenes(tmp_path, 4, seed=1, sizes=(416, 832))
    again = draw_scenes(tmp_path, 4, seed=1, sizes=(416, 832))  # read back
    assert all((a == b).all() for a, b in zip(drawn.boxes, again.boxes, strict=True))
    images = np.zeros((4, SIZE, SIZE, 3), np.uint8)
    images[:, 100:180, 40:300, 2] = 255
    box = np.array([[40, 100, 300, 180]], np.float32)
    red = Scenes(list(images), [box] * 4, [np.zeros(1, np.int64)] * 4)
    spec = find("gfl_markers").input
    stream = batches(red, spec, 4, (288, 416), seed=0)
    for _ in range(6):
        pixels, boxes, _ = next(stream)
        value = pixels[:, 0].numpy() * spec.std[0] + spec.mean[0]
        for image, (found,) in zip(value, boxes, strict=True):
            x1, y1, x2, y2 = np.rint(found.numpy()).astype(int)
            assert image[y1 + 2 : y2 - 2, x1 + 2 : x2 - 2].min() > 250
            assert (image > 250).sum() == pytest.approx((x2 - x1) * (y2 - y1), rel=0.05)
