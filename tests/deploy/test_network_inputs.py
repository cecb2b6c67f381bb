"""What a network may be fed beside an image: its size on the canvas, a given pose, the other image of a pair."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
from canvas import preprocessed
from cards import CROPS
from conftest import COLOR_CARD

from detforge.deploy.backends.recorded import RecordedBackend
from detforge.deploy.card import Card
from detforge.deploy.contract.parse import FieldError
from detforge.deploy.contract.port import Arrays, Port
from detforge.deploy.forms.form import Contract, ImageForm, Output, Run
from detforge.deploy.inputs.canvases import Canvases
from detforge.deploy.inputs.cover import Cover
from detforge.deploy.inputs.crop import Crop
from detforge.deploy.inputs.geometry import Frame
from detforge.deploy.inputs.network_inputs import ImageInput, PoseInput, SizeInput, View, feeds, mirrored
from detforge.deploy.inputs.resize import Pad, Resize
from detforge.deploy.pipelines.crops import PoseEstimator
from detforge.deploy.pipelines.detector import Detector
from detforge.deploy.results.instances import Instances
from detforge.deploy.system.errors import IncompatibleError, UsageError

PICTURE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
FRAMES = [
    Resize((64, 64), pad=Pad((64, 64))).whole((40, 60)),
    Resize((30, 50), keep_aspect=False, pad=Pad((64, 64), centered=True)).whole((40, 60)),
    Crop((64, 64), (1.25, 1.25)).of_box(np.array([5, 8, 40, 30]), (40, 60)),
    Crop((64, 64), spacing=True).of_box(np.array([-9, 0, 20, 50]), (40, 60)),
    Cover((64, 64), 32, spacing=True).whole((50, 50)),
]
NAMES = ["resized", "stretched", "crop", "spaced", "cover"]


def backend(ports: Sequence[str], batch: int | None = None, **outputs: np.ndarray) -> RecordedBackend:
    """Gives the outputs; its ports take any canvas."""
    made = RecordedBackend(outputs, {})
    made.inputs = [Port(name, (batch,)) for name in ports]
    return made


def listened(recorded: RecordedBackend) -> list[dict[str, np.ndarray]]:
    """What it is fed from now on, run by run."""
    fed: list[dict[str, np.ndarray]] = []
    run = recorded.run

    def copying(given: Mapping[str, np.ndarray]) -> Arrays:
        fed.append({name: value.copy() for name, value in given.items()})
        return run(given)

    recorded.run = copying  # type: ignore[method-assign]
    return fed


def test_the_size_is_the_images_own_on_the_canvas() -> None:
    batch = np.full((len(FRAMES), 2), np.nan, np.float32)
    SizeInput().fill(batch, [View(PICTURE, frame) for frame in FRAMES], 1)
    assert batch.tolist() == [[43, 64], [30, 50], [64, 64], [64, 64], [64, 64]]
    assert SizeInput().shape((8, 9)) == (2,)
    np.testing.assert_array_equal(SizeInput().mirrored(batch), batch)


def test_a_detector_feeds_sizes_and_fills_a_fixed_batch_up() -> None:
    card = replace(COLOR_CARD, inputs=(*COLOR_CARD.inputs, SizeInput("im_shape")))
    boxes, scores = np.zeros((4, 4, 4), np.float32), np.zeros((4, 4, 3), np.float32)
    recorded = backend(["im_shape", "image"], 4, boxes=boxes, scores=scores)
    Detector(recorded, card)([np.zeros((height, 90, 3), np.uint8) for height in (90, 45, 30)])
    assert recorded.fed["im_shape"].tolist() == [[64, 64], [32, 64], [21, 64], [0, 0]]
    assert recorded.fed["image"].shape == (4, 3, 64, 64)


def test_a_file_without_the_input_is_refused() -> None:
    card = replace(COLOR_CARD, inputs=(*COLOR_CARD.inputs, SizeInput("im_shape")))
    boxes, scores = np.zeros((1, 4, 4), np.float32), np.zeros((1, 4, 3), np.float32)
    with pytest.raises(IncompatibleError, match="lacks the input im_shape"):
        Detector(backend(["image"], boxes=boxes, scores=scores), card)


ORDER = (0, 2, 1, 3)
POSE = PoseInput(ORDER, sigma=2.5, peak=255.0, least_score=0.3)
KEYPOINTS = np.array([[12.25, 20.5, 0.9], [30, 9, 0.31], [7, 33.75, 0.3], [55, 38, 1.0]], np.float32)


def naive_maps(keypoints: np.ndarray, frame: Frame, each: PoseInput) -> np.ndarray:
    """Pixel by pixel in float64; places by what brings the image onto the canvas."""
    height, width = frame.canvas_size
    maps = np.zeros((len(keypoints), height, width))
    if isinstance(frame, type(FRAMES[0])):
        (top, left), (down, across) = frame.offset, np.array(frame.resized_size) / np.array(frame.image_size)
        matrix = np.array([[1 / across, 0, -left / across], [0, 1 / down, -top / down]])
    else:
        matrix = frame.matrix
    for k, (x, y, score) in enumerate(keypoints.astype(np.float64)):
        if score <= np.float32(each.least_score):
            continue
        u, v = np.linalg.solve(matrix[:, :2], np.array([x, y]) - matrix[:, 2])
        for i in range(height):
            for j in range(width):
                maps[k, i, j] = each.peak * exp(-((j - u) ** 2 + (i - v) ** 2) / (2 * each.sigma**2))
    return maps


@pytest.mark.parametrize("frame", FRAMES, ids=NAMES)
def test_a_pose_becomes_maps(frame: Frame) -> None:
    each = replace(POSE, least_score=0.25)
    batch = np.full((2, 4, *frame.canvas_size), np.nan, np.float32)
    other = KEYPOINTS + np.array([3, -2, 0], np.float32)
    each.fill(batch, [View(PICTURE, frame, keypoints=pose) for pose in (KEYPOINTS, other)], 1)
    for maps, pose in zip(batch, (KEYPOINTS, other), strict=True):
        np.testing.assert_allclose(maps, naive_maps(pose, frame, each), atol=1e-2)  # of 255
    assert each.shape(frame.canvas_size) == batch.shape[1:]


def test_a_keypoint_of_no_score_leaves_its_map_empty() -> None:
    batch = np.full((1, 4, 64, 64), np.nan, np.float32)
    POSE.fill(batch, [View(PICTURE, FRAMES[0], keypoints=KEYPOINTS)], 1)
    assert [bool(maps.any()) for maps in batch[0]] == [True, True, False, True]  # 0.3 is not above 0.3
    np.testing.assert_allclose(batch[0], naive_maps(KEYPOINTS, FRAMES[0], POSE), atol=1e-2)


def test_the_mirrored_maps_are_those_of_the_mirrored_person() -> None:
    """In them the left keypoint stands where the right one was."""
    frame = FRAMES[2]
    batch = np.empty((1, 4, 64, 64), np.float32)
    POSE.fill(batch, [View(PICTURE, frame, keypoints=KEYPOINTS)], 1)
    plain = naive_maps(KEYPOINTS, frame, POSE)
    expected = np.array([[[plain[ORDER[k], y, 63 - x] for x in range(64)] for y in range(64)] for k in range(4)])
    np.testing.assert_allclose(POSE.mirrored(batch)[0], expected, atol=1e-2)
    assert POSE.mirrored(batch).flags.c_contiguous


@pytest.mark.parametrize("place", [(1e30, 5), (-1e30, 1e30), (3e5, -3e5)])
def test_places_beyond_every_image_give_empty_maps(place: tuple[float, float]) -> None:
    keypoints = np.array([[*place, 1.0]], np.float32)
    batch = np.full((1, 1, 64, 64), np.nan, np.float32)
    PoseInput((0,), 2.0).fill(batch, [View(PICTURE, FRAMES[0], keypoints=keypoints)], 1)
    assert not batch.any()


@pytest.mark.parametrize(
    ("keypoints", "message"),
    [(None, "give them with `keypoints`"), (KEYPOINTS[:3], "poses of 4 keypoints"), (KEYPOINTS[:, :2], "x, y and a")],
)
def test_what_is_no_pose_is_refused(keypoints: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        POSE.fill(np.empty((1, 4, 64, 64), np.float32), [View(PICTURE, FRAMES[0], keypoints=keypoints)], 1)


def test_a_pose_network_sees_the_poses_of_its_boxes() -> None:
    """Both views, of every box its own pose: the first network's keypoints are the second one's input."""
    place = Crop((64, 48))
    refining = replace(CROPS, inputs=(replace(CROPS.input, place=place), PoseInput((0, 2, 1), 2.0)))
    first = replace(CROPS, inputs=(replace(CROPS.input, place=place),))
    maps = np.zeros((2, 3, 16, 12), np.float32)
    maps[:, [0, 1, 2], [3, 8, 12], [2, 5, 9]] = 1
    recorded = backend(["image", "pose"], heatmaps=maps)
    fed = listened(recorded)
    given = PoseEstimator(backend(["image"], heatmaps=maps), first)(PICTURE, [[5, 5, 30, 30], [20, 0, 60, 40]])
    again = PoseEstimator(recorded, refining).estimate([PICTURE], [given])[0]
    assert len(again) == 2 and len(fed) == 2
    for i, box in enumerate(given.boxes):
        plain = naive_maps(given.keypoints[i], place.of_box(box, (40, 60)), refining.inputs[1])
        np.testing.assert_allclose(fed[0]["pose"][i], plain, atol=1e-4)
        np.testing.assert_allclose(fed[1]["pose"][i], plain[[0, 2, 1], :, ::-1], atol=1e-4)
    with pytest.raises(UsageError, match="give them with `keypoints`"):
        PoseEstimator(recorded, refining)(PICTURE, [[5, 5, 30, 30]])


@dataclass(frozen=True)
class Pairs(ImageForm):
    """`boxes` (n, k, 4) px and `scores` (n, k) of what changed between two images."""

    flip: bool = False
    kind: Literal["changes"] = "changes"
    task: ClassVar[str] = "changes"
    runs_on: ClassVar[Literal["images", "pairs", "crops"]] = "pairs"
    outputs: ClassVar[tuple[Output, ...]] = (Output("boxes", unit="px"), Output("scores"))

    def find(self, runs: Sequence[Run], card: Contract) -> Instances:
        out, frame = runs[0].outputs, runs[0].frame
        return Instances(out["boxes"], out["scores"], np.zeros(len(out["scores"]), np.int64), card.labels, frame.extent)


AFTER = ImageInput(COLOR_CARD.input.place, "rgb", (10.0, 20.0, 30.0), (2.0, 2.0, 2.0), second=True, name="after")
PAIR_CARD = replace(COLOR_CARD, inputs=(*COLOR_CARD.inputs, AFTER), form=Pairs())


def comparing(card: Card = PAIR_CARD, count: int = 2) -> tuple[Detector, list[dict[str, np.ndarray]]]:
    """A detector of changes, and what its network was fed, run by run."""
    boxes = np.tile(np.array([[[0, 0, 32, 32]]], np.float32), (count, 1, 1))
    recorded = backend(["after", "image"], boxes=boxes, scores=np.full((count, 1), 0.9, np.float32))
    return Detector(recorded, card), listened(recorded)


def other(seed: int = 1, size: tuple[int, int] = (40, 60)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def test_each_image_of_a_pair_is_an_input_of_its_own() -> None:
    detector, fed = comparing()
    found = detector(PICTURE, against=other())
    # 64x43 px of the canvas are the image of 60x40.
    np.testing.assert_allclose(found.boxes, [[0, 0, 32 * 60 / 64, 32 * 40 / 43]], rtol=1e-6)
    np.testing.assert_array_equal(fed[0]["image"][0], preprocessed(PICTURE, COLOR_CARD.input)[0])
    np.testing.assert_array_equal(fed[0]["after"][0], preprocessed(other(), replace(AFTER, second=False))[0])


def test_pairs_of_a_list_stay_together() -> None:
    detector, fed = comparing(count=3)
    firsts, seconds = [PICTURE, other(2, (60, 40)), other(3)], [other(4), other(5, (60, 40)), other(6)]
    detector(firsts, against=seconds)
    for name, images, spec in (("image", firsts, COLOR_CARD.input), ("after", seconds, replace(AFTER, second=False))):
        np.testing.assert_array_equal(fed[0][name], [preprocessed(image, spec)[0] for image in images])


def test_the_mirrored_view_mirrors_both() -> None:
    detector, fed = comparing(replace(PAIR_CARD, form=Pairs(flip=True)))
    detector(PICTURE, against=other())
    assert len(fed) == 2
    np.testing.assert_array_equal(fed[1]["image"][0], preprocessed(PICTURE[:, ::-1], COLOR_CARD.input)[0])
    np.testing.assert_array_equal(fed[1]["after"][0], preprocessed(other()[:, ::-1], replace(AFTER, second=False))[0])


def test_a_pair_that_is_none_is_refused() -> None:
    detector, _ = comparing()
    with pytest.raises(UsageError, match="give the other one with `against`"):
        detector(PICTURE)
    with pytest.raises(UsageError, match="images of one size"):
        detector(PICTURE, against=other(1, (40, 61)))
    with pytest.raises(UsageError, match="uint8 BGR"):
        detector(PICTURE, against=np.zeros((40, 60)))


def test_a_card_has_a_second_image_for_pairs_alone() -> None:
    for change in ({"inputs": COLOR_CARD.inputs}, {"form": COLOR_CARD.form}, {"inputs": (AFTER,)}):
        with pytest.raises(FieldError, match="'inputs' must hold"):
            replace(PAIR_CARD, **change)


def test_inputs_share_neither_memory_nor_order() -> None:
    inputs = (COLOR_CARD.input, SizeInput(), POSE)
    view = View(PICTURE, FRAMES[0], keypoints=KEYPOINTS)
    ports = {name: Port(name, (None,)) for name in ("image", "image_size", "pose")}
    fed = feeds(inputs, [view, view], ports, Canvases())
    assert {name: value.shape for name, value in fed.items()} == {
        "image": (2, 3, 64, 64), "image_size": (2, 2), "pose": (2, 4, 64, 64),
    }  # fmt: skip
    assert fed["image_size"].tolist() == [[43, 64]] * 2
    turned = mirrored(inputs, fed)
    np.testing.assert_array_equal(turned["image"], fed["image"][..., ::-1])
    np.testing.assert_array_equal(turned["image_size"], fed["image_size"])
    np.testing.assert_array_equal(turned["pose"], POSE.mirrored(fed["pose"]))


@pytest.mark.parametrize("each", [SizeInput(), POSE, AFTER], ids=lambda each: each.kind)
def test_what_is_made_up_for_a_view_fills_the_input(each: Any) -> None:
    view = each.typical(View(PICTURE, FRAMES[0]), seed=3)
    batch = np.full((1, *each.shape((64, 64))), np.nan, np.float32)
    each.fill(batch, [view], 1)
    assert np.isfinite(batch).all() and batch.any()
