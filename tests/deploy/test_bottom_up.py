"""The bottom-up pipeline around networks made by hand, which see coloured lights as keypoints."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conftest import COLOR_CARD
from numpy.typing import NDArray
from pose_stand_in import lights

from detforge.deploy.backends.recorded import RecordedBackend
from detforge.deploy.card import Card
from detforge.deploy.contract.parse import FieldError
from detforge.deploy.contract.port import Arrays, Port
from detforge.deploy.contract.skeleton import Skeleton
from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.forms import Tags
from detforge.deploy.inputs.cover import Cover
from detforge.deploy.inputs.crop import Crop
from detforge.deploy.inputs.network_inputs import ImageInput
from detforge.deploy.inputs.resize import Resize
from detforge.deploy.pipelines.detector import Detector
from detforge.deploy.results.instances import Instances
from detforge.deploy.system.errors import IncompatibleError

STEP = 4
CARD = Card(
    model="lights",
    inputs=(ImageInput(Cover((128, 128), 32), "bgr", (0.0, 0.0, 0.0), (255.0, 255.0, 255.0)),),
    form=Tags((1, 0, 2), flip=False),
    suppress=Suppress("none", conf=0.0),
    labels=("person",),
    provenance=COLOR_CARD.provenance,
    skeleton=Skeleton(("blue", "green", "red"), ((0, 1), (1, 2)), ((0, 2),), (0.05, 0.05, 0.05)),
)


class Lights:
    """Gives the mean colours of cells of 4 px as `heatmaps`, and as `tags` which third of the canvas a cell is in.

    It says "left" and "right" as a network does: in a mirrored image blue lights are still blue, so that with `sides`
    it exchanges blue and red when the image comes mirrored, which it sees by white to the right.
    """

    def __init__(self, batch: int | None = None, sides: bool = False) -> None:
        self.metadata: dict[str, str] = {}
        self.inputs = (Port("image", (batch, 3, None, None)),)
        self.outputs = (Port("heatmaps", (batch, 3, None, None)), Port("tags", (batch, 3, None, None)))
        self.shapes: list[tuple[int, ...]] = []
        self._sides = sides

    def run(self, feeds: Arrays) -> Arrays:
        image = feeds["image"]
        self.shapes.append(image.shape)
        n, c, h, w = image.shape
        heatmaps = image.reshape(n, c, h // STEP, STEP, w // STEP, STEP).mean((3, 5))
        thirds = np.floor(np.arange(w // STEP) * 3 / (w // STEP)) * 5
        mirrored = [(one.min(0)[:, w // 2 :] > 0.9).any() for one in image]
        tags = np.stack([np.broadcast_to(thirds[::-1] if m else thirds, heatmaps.shape[1:]) for m in mirrored])
        if self._sides:
            heatmaps = np.stack([m[::-1] if flip else m for m, flip in zip(heatmaps, mirrored, strict=True)])
        return {"heatmaps": heatmaps.astype(np.float32), "tags": tags.astype(np.float32)}


def scene(size: tuple[int, int], people: NDArray[Any], spread: float) -> NDArray[np.uint8]:
    """People (n, 3, 2) xy px as lights, in an image (h, w, 3) whose top left corner is white."""
    image = np.stack([lights(size, places, spread) for places in people]).max(0)
    image[: size[0] // 16, : size[1] // 16] = 255
    return image


PEOPLE = np.array(
    [[[40, 60], [50, 120], [60, 180]], [[190, 70], [200, 140], [180, 200]], [[300, 50], [330, 150], [340, 190]]], float
)
SIZE = (240, 384)


def matched(found: Instances, people: NDArray[Any]) -> NDArray[np.float32]:
    """The keypoints of those found, in the order of the people that they lie on."""
    assert found.keypoints is not None
    order = np.argsort(found.keypoints[:, 1, 0])
    assert len(order) == len(people)
    return found.keypoints[order]


def test_people_are_found_where_they_are() -> None:
    backend = Lights()
    found = Detector(backend, CARD)(scene(SIZE, PEOPLE, 9.0))
    keypoints = matched(found, PEOPLE)
    # A map's pixel is 7.5 px of the image; a quarter of one is decided, and the white corner is nobody's.
    assert np.abs(keypoints[..., :2] - PEOPLE).max() < 4
    assert (keypoints[..., 2] > 0.7).all()
    assert backend.shapes == [(1, 3, 128, 224)]
    assert found.names == ("person",)
    assert found.columns["keypoints"].skeleton == CARD.skeleton  # type: ignore[attr-defined]
    assert found.image_size == (384, 240)
    assert found.labels.tolist() == [0, 0, 0]
    assert (np.diff(found.scores) <= 0).all()
    assert set(found.timing) == {"pre", "infer", "post"}


def test_a_box_is_the_bounds_of_the_keypoints() -> None:
    found = Detector(Lights(), CARD)(scene(SIZE, PEOPLE, 9.0))
    assert found.keypoints is not None
    for box, pose, score in zip(found.boxes, found.keypoints, found.scores, strict=True):
        np.testing.assert_allclose(box, [*pose[:, :2].min(0), *pose[:, :2].max(0)], atol=1e-4)
        assert score == pytest.approx(pose[:, 2].mean(), abs=1e-6)


@pytest.mark.parametrize("spacing", [False, True])
def test_the_mirrored_image_changes_nothing_that_is_symmetric(spacing: bool) -> None:
    """Keypoints of pairs change places, maps are turned back, and each view has tags of its own."""
    card = CARD.with_place(replace(CARD.input.place, spacing=spacing))
    image = scene(SIZE, PEOPLE, 9.0)
    once = Detector(Lights(), card)(image)
    backend = Lights(sides=True)
    twice = Detector(backend, replace(card, form=replace(CARD.form, flip=True)))(image)
    assert len(backend.shapes) == 2
    np.testing.assert_allclose(matched(twice, PEOPLE), matched(once, PEOPLE), atol=1e-3)


def test_scales_are_averaged_on_one_canvas() -> None:
    scales = (0.5, 1.0, 2.0)
    card = replace(CARD, form=replace(CARD.form, scales=scales))
    backend = Lights()
    found = Detector(backend, card)(scene(SIZE, PEOPLE, 9.0))
    # Sides are whole multiples of 32 px at the smallest scale, and from there on proportional.
    heights = [shape[2:] for shape in backend.shapes]
    assert heights == [(256, 512), (128, 256), (64, 128)]
    assert np.abs(matched(found, PEOPLE)[..., :2] - PEOPLE).max() < 4


def test_images_of_a_list_are_each_as_alone() -> None:
    images = [scene(SIZE, PEOPLE, 9.0), scene((384, 240), PEOPLE[:1], 9.0), scene(SIZE, PEOPLE[1:], 9.0)]
    together = Lights()
    found = Detector(together, CARD)(images)
    assert sorted(shape[0] for shape in together.shapes) == [1, 2]
    for image, one in zip(images, found, strict=True):
        alone = Detector(Lights(), CARD)(image)
        np.testing.assert_array_equal(one.keypoints, alone.keypoints)
        np.testing.assert_array_equal(one.scores, alone.scores)
    fixed = Lights(batch=2)
    for one, other in zip(Detector(fixed, CARD)(images), found, strict=True):
        np.testing.assert_array_equal(one.keypoints, other.keypoints)
    assert {shape[0] for shape in fixed.shapes} == {2}
    assert Detector(Lights(), CARD)([]) == []


def test_the_best_stay() -> None:
    image = scene(SIZE, PEOPLE, 9.0)
    image[:, 100:260] //= 3
    everyone = Detector(Lights(), CARD)(image)
    assert len(everyone) == 3
    few = Detector(Lights(), replace(CARD, suppress=Suppress("none", conf=0.0, max_det=2)))(image)
    np.testing.assert_array_equal(few.scores, everyone.scores[:2])
    sure = Detector(Lights(), replace(CARD, suppress=Suppress("none", conf=0.5)))(image)
    np.testing.assert_array_equal(sure.keypoints, everyone[:2].keypoints)


def test_nobody() -> None:
    found = Detector(Lights(), CARD)(np.zeros((50, 70, 3), np.uint8))
    assert len(found) == 0
    assert found.keypoints is not None
    assert found.keypoints.shape == (0, 3, 3)
    assert found.boxes.shape == (0, 4)


def test_outputs_that_are_missing_are_named() -> None:
    backend = RecordedBackend({"heatmaps": np.zeros((1, 3, 8, 8), np.float32)}, {})
    with pytest.raises(IncompatibleError, match="output tags"):
        Detector(backend, CARD)


def test_the_card_survives_json_and_refuses_what_does_not_fit() -> None:
    card = replace(CARD, form=Tags((2, 1, 0), 20, 0.2, 0.5, True, (0.5, 1.0), "mmpose"))
    assert Card.from_json(card.to_json()) == card
    with pytest.raises(FieldError, match=r"form\.order"):
        replace(CARD, form=Tags((0, 1)))
    for place in (Crop((128, 128)), Resize((128, 128))):
        with pytest.raises(FieldError, match=r"inputs\.place\.kind"):
            CARD.with_place(place)
    with pytest.raises(FieldError, match=r"inputs\.place\.kind"):
        COLOR_CARD.with_place(CARD.input.place)
