"""Ways to resize: the image's aspect, how sides are rounded, and the filter on floats against PyTorch's."""

from dataclasses import replace
from fractions import Fraction
from math import floor

import cv2
import numpy as np
import PIL.Image
import pytest
import torch
from canvas import preprocessed
from cards import CARD
from torch.nn import functional as F

from detforge.deploy.backends.recorded import RecordedBackend
from detforge.deploy.contract.parse import FieldError
from detforge.deploy.forms import Dense
from detforge.deploy.inputs.geometry import Normalization
from detforge.deploy.inputs.network_inputs import ImageInput
from detforge.deploy.inputs.resize import Pad, Resize, ResizedFrame
from detforge.deploy.pipelines.detector import Detector
from detforge.deploy.system.errors import InputError, UsageError

SIZES = [(480, 640), (97, 97), (37, 53), (1, 1), (3, 400), (391, 389), (4000, 6000)]


@pytest.mark.parametrize("rounding", ["round", "floor"])
@pytest.mark.parametrize("image", SIZES)
def test_without_its_aspect_the_image_becomes_exactly_the_size(image: tuple[int, int], rounding: str) -> None:
    place = Resize((800, 416), keep_aspect=False, rounding=rounding, pad=Pad(multiple=32))
    frame = place.whole(image)
    assert (frame.resized_size, frame.canvas_size) == ((800, 416), (800, 416))
    assert frame.scale == (416 / image[1], 800 / image[0])
    assert place.canvas == (800, 416)


def test_without_its_aspect_the_size_may_lie_on_a_larger_canvas() -> None:
    place = Resize((100, 60), keep_aspect=False, pad=Pad(multiple=32))
    assert place.canvas == place.whole((640, 480)).canvas_size == (128, 64)
    centred = replace(place, pad=Pad((128, 96), centered=True)).whole((5, 7))
    assert (centred.resized_size, centred.canvas_size, centred.offset) == ((100, 60), (128, 96), (14, 18))
    np.testing.assert_allclose(centred.to_canvas(np.array([[0, 0], [7, 5]])), [[18, 14], [78, 114]])


def test_both_axes_have_their_own_scale_on_the_way_to_the_canvas() -> None:
    frame = Resize((64, 64), keep_aspect=False).whole((32, 256))
    np.testing.assert_allclose(frame.to_canvas(np.array([[256, 32], [128, 8]])), [[64, 64], [32, 16]])


@pytest.mark.parametrize("by", ["sides", "edges"])
@pytest.mark.parametrize("image", [*SIZES[:-1], (641, 480), (1333, 799), (333, 1000)])
def test_sides_are_rounded_to_the_nearest_or_down(image: tuple[int, int], by: str) -> None:
    height, width = image
    bound = (480, 640)
    exact = min(Fraction(480, height), Fraction(640, width))
    if by == "edges":
        exact = min(Fraction(480, min(image)), Fraction(640, max(image)))
    for rounding, half in (("round", Fraction(1, 2)), ("floor", Fraction(0))):
        frame = Resize(bound, by, rounding=rounding).whole(image)
        for side, resized in zip(image, frame.resized_size, strict=True):
            wanted = side * exact
            # A float product may fall just below a whole number, in the references as here.
            close = {floor(wanted + half), floor(wanted + half - Fraction(1, 10**9))}
            assert resized in {max(1, each) for each in close}


def test_rounding_moves_boxes() -> None:
    """334 px at 416 / 500 are 277.9."""
    place = Resize((416, 416), pad=Pad((416, 416), value=114.0))
    rounded, cut = (replace(place, rounding=rounding).whole((334, 500)) for rounding in ("round", "floor"))
    assert (rounded.resized_size, cut.resized_size) == ((278, 416), (277, 416))
    assert rounded.scale[1] == pytest.approx(278 / 334) and cut.scale[1] == pytest.approx(277 / 334)


def test_results_are_divided_by_the_factor_or_the_ratio_of_the_sizes_or_heights() -> None:
    """YOLOX resizes 500x334 px by 416 / 500 to 416x277 px and divides boxes by 416 / 500, InsightFace by 277 / 334."""
    place = Resize((416, 416), rounding="floor", pad=Pad((416, 416), value=114.0))
    outputs = {
        "boxes": np.array([[[52.0, 26.0, 208.0, 208.0]]], np.float32).repeat(3549, 1),
        "scores": np.zeros((1, 3549, 2), np.float32),
    }
    outputs["scores"][0, 5] = 0.9, 0
    whole, cut = 416 / 500, 277 / 334
    for inverse, across, down in (("factor", whole, whole), ("sizes", whole, cut), ("height", cut, cut)):
        card = replace(CARD.with_place(replace(place, inverse=inverse)), form=Dense((8, 16, 32), clip="none"))
        [found] = Detector(RecordedBackend(outputs, {}), card)([np.zeros((334, 500, 3), np.uint8)])
        expected = [52 / across, 26 / down, 208 / across, 208 / down]
        np.testing.assert_allclose(found.boxes[0], expected, rtol=1e-6)
        assert found.image_size == (500, 334)
        frame = replace(place, inverse=inverse).whole((334, 500))
        np.testing.assert_allclose(frame.to_canvas(np.array([100, 100])), [100 * across, 100 * down], rtol=1e-6)
    with pytest.raises(FieldError, match="inverse"):
        Resize((416, 416), keep_aspect=False, inverse="factor")


def test_bicubic_is_opencvs() -> None:
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (30, 50, 3), np.uint8)
    spec = ImageInput(Resize((64, 64), keep_aspect=False, filter="cubic"), "rgb", (1.0, 2.0, 3.0), (2.0, 3.0, 4.0))
    canvas = np.empty((3, 64, 64), np.float32)
    spec.place.whole((30, 50)).fill(canvas, image, spec.pixels, threads=1)
    resized = cv2.resize(image, (64, 64), interpolation=cv2.INTER_CUBIC)[..., ::-1]
    np.testing.assert_allclose(canvas, ((resized - np.float64([1, 2, 3])) / [2, 3, 4]).transpose(2, 0, 1), rtol=1e-6)


@pytest.mark.parametrize(
    ("size", "resized"),
    [
        ((97, 131), (40, 53)),
        ((40, 53), (97, 131)),
        ((300, 7), (31, 7)),
        ((7, 300), (7, 31)),
        ((480, 640), (800, 1067)),
        ((900, 1400), (800, 1244)),
        ((1, 1), (5, 3)),
        ((1000, 3), (1, 1)),
        ((64, 64), (64, 64)),
        ((64, 33), (65, 32)),
    ],
)
def test_antialiased_is_pillows_to_the_last_bit(size: tuple[int, int], resized: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    spec = ImageInput(Resize(resized, keep_aspect=False, filter="antialias"), "bgr", (0.0,) * 3, (1.0,) * 3)
    canvas = np.empty((3, *resized), np.float32)
    spec.place.whole(size).fill(canvas, image, spec.pixels, threads=1)
    expected = np.asarray(PIL.Image.fromarray(image).resize(resized[::-1], PIL.Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(canvas.transpose(1, 2, 0), expected)


def reference(image: np.ndarray, spec: ImageInput, frame: ResizedFrame) -> np.ndarray:
    """PyTorch's bilinear filter in float64, then the normalisation and the padding."""
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].double()
    resized = F.interpolate(pixels, frame.resized_size, mode="bilinear", align_corners=False)[0].numpy()
    mean, std = (np.array(values)[:, None, None] for values in (spec.mean, spec.std))
    value = spec.place.pad.value
    expected = np.zeros((3, *frame.canvas_size)) if value is None else (np.full((3, *frame.canvas_size), value) - mean)
    expected = expected if value is None else expected / std
    (top, left), (height, width) = frame.offset, frame.resized_size
    planes = resized[::-1] if spec.color == "rgb" else resized
    expected[:, top : top + height, left : left + width] = (planes - mean) / std
    return expected


FLOATS = Resize((200, 320), rounding="floor", filter="float", pad=Pad(multiple=32))


@pytest.mark.parametrize(
    "place",
    [
        FLOATS,
        replace(FLOATS, keep_aspect=False),
        replace(FLOATS, pad=Pad((224, 352), centered=True, value=114.0)),
        Resize(filter="float", pad=Pad(multiple=8)),
    ],
    ids=["padded", "stretched", "centred", "kept"],
)
@pytest.mark.parametrize("color", ["rgb", "bgr"])
@pytest.mark.parametrize("size", [(480, 640), (37, 53), (1, 1), (3, 400), (301, 299)])
def test_the_filter_on_floats_is_pytorchs(size: tuple[int, int], color: str, place: Resize) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    spec = ImageInput(place, color, (123.675, 116.28, 103.53), (1.0, 2.0, 0.5))
    pixels, frame = preprocessed(image, spec)
    assert pixels.dtype == np.float32
    np.testing.assert_allclose(pixels, reference(image, spec, frame), atol=5e-3)  # of 510: std 0.5


def test_the_filter_on_floats_keeps_what_levels_round_away() -> None:
    image = np.random.default_rng(1).integers(0, 256, (50, 70, 3), np.uint8)
    plain = ImageInput(FLOATS, "bgr", (0.0,) * 3, (1.0,) * 3)
    floats, frame = preprocessed(image, plain)
    levels, _ = preprocessed(image, plain.placed(filter="opencv"))
    inside = (slice(None), slice(frame.resized_size[0]), slice(frame.resized_size[1]))
    assert np.abs(floats[inside] - np.round(floats[inside])).mean() > 0.2
    assert (levels == np.round(levels)).all()
    assert 0.2 < np.abs(floats - levels)[inside].max() <= 1.51


def test_a_mirrored_view_and_other_types_of_canvas_hold_the_same_values() -> None:
    image = np.random.default_rng(2).integers(0, 256, (60, 90, 3), np.uint8)
    spec = ImageInput(replace(FLOATS, pad=Pad(multiple=32, value=300.0)), "bgr", (40.0, -20.0, 2.0), (0.5, 2.0, 1.0))
    values, frame = preprocessed(image[:, ::-1], spec)
    np.testing.assert_array_equal(values, preprocessed(image[:, ::-1].copy(), spec)[0])
    for dtype, expected in (
        (np.float16, values.astype(np.float16)),
        (np.uint8, np.floor(np.clip(values, 0, 255) + 0.5)),
    ):
        canvas = np.empty(values.shape, dtype)
        frame.fill(canvas, image[:, ::-1], spec.pixels, 1)
        np.testing.assert_array_equal(canvas, expected)


def test_an_image_that_does_not_fit_a_canvas_is_refused() -> None:
    place = Resize(pad=Pad((64, 64)))
    assert place.whole((64, 20)).canvas_size == (64, 64)
    with pytest.raises(InputError, match="65x20 px: it would become 65x20 px, more than the canvas of 64x64 px"):
        place.whole((20, 65))


def test_a_fixed_canvas_keeps_everything_else() -> None:
    place = Resize((800, 1333), "edges", rounding="floor", filter="float", pad=Pad(multiple=32, value=7.0))
    fixed = place.fixed((640, 96))
    assert fixed == Resize((640, 96), rounding="floor", filter="float", pad=Pad((640, 96), 32, value=7.0))
    with pytest.raises(UsageError, match="multiple of 32"):
        place.fixed((640, 100))


def test_a_stretch_without_a_size_fills_the_padded_canvas() -> None:
    place = Resize(keep_aspect=False, pad=Pad(multiple=32))
    frame = place.whole((100, 128))
    assert (frame.resized_size, frame.canvas_size, frame.offset) == ((128, 128), (128, 128), (0, 0))
    assert place.canvas is None
    assert place.fixed((64, 96)).whole((100, 128)).resized_size == (64, 96)


def test_a_warp_aligns_the_centres_of_the_first_pixels() -> None:
    """Each pixel of the canvas is that of the image at its position divided by the factor, between four pixels."""
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3)).astype(np.uint8)
    pad = Pad((64, 64), centered=True, value=0)
    frame = Resize((60, 60), filter="warp", inverse="factor", pad=pad).whole((30, 40))
    canvas = np.empty((3, 64, 64), np.float32)
    frame.fill(canvas, image, Normalization("bgr", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)), 1)
    top, left = frame.offset
    assert (top, left) == (9.5, 2)
    for y, x in ((12, 11), (40, 44), (17, 3)):
        row, column = (y - top) / 1.5, (x - left) / 1.5
        i, j = int(row), int(column)
        down, right = row - i, column - j
        upper = image[i, j] * (1 - right) + image[i, j + 1] * right
        lower = image[i + 1, j] * (1 - right) + image[i + 1, j + 1] * right
        # Positions are rounded to 1/32 px, which may change a value by 255/32 on each axis.
        np.testing.assert_allclose(canvas[:, y, x], upper * (1 - down) + lower * down, atol=9)
    assert not canvas[:, :8].any() and not canvas[:, 56:].any()
    np.testing.assert_allclose(frame.to_canvas(np.array([[0, 0], [40, 30]])), [[2, 9.5], [62, 54.5]])


@pytest.mark.parametrize(
    ("image", "canvas"), [((877, 621), (1024, 736)), ((191, 384), (736, 1472)), ((2000, 1000), (1984, 992))]
)
def test_a_short_side_is_enlarged_and_sides_become_the_nearest_multiple(
    image: tuple[int, int], canvas: tuple[int, int]
) -> None:
    """As in RapidOCR, whose canvases these are."""
    place = Resize(keep_aspect=False, rounding="floor", least=736, pad=Pad(multiple=32, rule="nearest"))
    frame = place.whole(image)
    assert (frame.resized_size, frame.canvas_size) == (canvas, canvas)
