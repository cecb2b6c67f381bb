"""Images as large as they are, in the middle of their canvas, against mmdet's RandomCenterCropPad."""

from dataclasses import replace

import numpy as np
import pytest
from canvas import preprocessed
from golden.reader import load_ops
from test_card import CARD

from detforge.deploy.card import Card
from detforge.deploy.contract.parse import FieldError
from detforge.deploy.inputs.network_inputs import ImageInput
from detforge.deploy.inputs.resize import Pad, Resize
from detforge.models.variant import KEEP_BGR, KEEP_RGB, padded

RAW = ImageInput(
    Resize(pad=Pad(multiple=32, rule="or", centered=True, value=0.0)), "bgr", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
)


@pytest.mark.parametrize("case", load_ops("center_pad"), ids=lambda case: case["name"])
def test_equals_mmdet(case: dict) -> None:
    multiple = case["args"]["test_pad_mode"][1] + 1
    rule = "or+1" if case["args"].get("test_pad_add_pix") else "or"
    image = case["in"]["img"].astype(np.uint8)
    pixels, frame = preprocessed(image, padded(RAW, multiple=multiple, rule=rule))
    np.testing.assert_array_equal(pixels.transpose(1, 2, 0), case["out"]["img"])
    top, bottom, left, right = case["out"]["border"]
    assert frame.offset == (top, left)
    assert frame.resized_size == (bottom - top, right - left) == image.shape[:2]


@pytest.mark.parametrize(
    ("side", "multiple", "rule", "expected"),
    [
        (1, 32, "or", 31),
        (31, 32, "or", 31),
        (32, 32, "or", 63),
        (640, 128, "or", 767),
        (32, 32, "or+1", 64),
        (31, 32, "or+1", 32),
        (480, 32, "or+1", 512),
        (480, 32, "ceil", 480),
    ],
)
def test_sides_follow_the_rule(side: int, multiple: int, rule: str, expected: int) -> None:
    frame = padded(RAW, multiple=multiple, rule=rule).place.whole((side, 1))
    assert frame.canvas_size[0] == expected
    assert frame.offset[0] == expected // 2 - side // 2


@pytest.mark.parametrize("spec", [KEEP_RGB, KEEP_BGR])
def test_what_lies_around_the_image(spec: ImageInput) -> None:
    """Zero after normalisation in OpenMMLab's CornerNet, black pixels in the authors'."""
    image = np.random.default_rng(0).integers(0, 256, (50, 71, 3), np.uint8)
    pixels, frame = preprocessed(image, spec)
    (top, left), (height, width) = frame.offset, frame.resized_size
    mean, std = (np.array(values, np.float64)[:, None, None] for values in (spec.mean, spec.std))
    expected = (np.zeros((3, 127, 127)) - mean) / std if spec.place.pad.value == 0 else np.zeros((3, 127, 127))
    channels = image[..., ::-1] if spec.color == "rgb" else image
    inside = (channels.transpose(2, 0, 1).astype(np.float64) - mean) / std
    expected[:, top : top + height, left : left + width] = inside
    np.testing.assert_allclose(pixels, expected, atol=1e-5)


def test_a_fixed_canvas_keeps_the_aspect_and_the_middle() -> None:
    frame = KEEP_RGB.place.fixed((127, 255)).whole((100, 300))
    assert (frame.resized_size, frame.canvas_size, frame.offset) == ((85, 255), (127, 255), (21, 0))


@pytest.mark.parametrize(
    "change",
    [{"by": "edges"}, {"filter": "warp"}, {"size": (0, 8)}, {"size": (9, 8), "by": "edges"}],
)
def test_contradictions_are_refused(change: dict) -> None:
    with pytest.raises(FieldError, match=r"place\."):
        KEEP_RGB.placed(**change)


def test_a_multiple_that_is_no_power_of_two_is_refused() -> None:
    with pytest.raises(FieldError, match=r"pad\.multiple"):
        padded(KEEP_RGB, multiple=96)


def test_it_survives_the_trip_through_json() -> None:
    card = replace(CARD, inputs=(KEEP_BGR,))
    assert Card.from_json(card.to_json()) == card
