"""Crops against mmpose's transforms, a float64 oracle, and what mmpose 0.x does to whole images."""

from dataclasses import replace
from math import ceil, floor

import cv2
import numpy as np
import pytest
from golden.reader import load_ops
from hypothesis import given
from hypothesis import strategies as st

from detforge.deploy import _native
from detforge.deploy.inputs.cover import Cover
from detforge.deploy.inputs.crop import Crop, WarpedFrame, fill_warped
from detforge.deploy.inputs.geometry import Normalization
from detforge.deploy.system.errors import InputError, UsageError

RAW = Normalization("bgr", (0.0,) * 3, (1.0,) * 3)
CROP = Crop((64, 48), (1.25, 1.25))
WHOLE = Cover((128, 128), 64)
SHAPE = (60, 90)
CASES = {case["name"]: case for case in load_ops("crops")}
BOXES = CASES["bbox_xyxy2cs"]["in"]["bbox"]
TOP_DOWN = [name for name in CASES if name.startswith("topdown")]


def pixels(crop: WarpedFrame, image: np.ndarray, values: Normalization = RAW) -> np.ndarray:
    """The canvas (h, w, 3) of one crop."""
    canvas = np.full((3, *crop.canvas_size), np.nan, np.float32)
    crop.fill(canvas, image, values, threads=1)
    return canvas.transpose(1, 2, 0)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height + width).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("name", TOP_DOWN)
def test_a_person_equals_mmpose(name: str) -> None:
    case = CASES[name]
    crop = replace(CROP, spacing=case["args"]["use_udp"]).of_box(BOXES[int(name.split("_")[2])], SHAPE)
    np.testing.assert_allclose(crop.centre, case["out"]["input_center"], rtol=1e-6)
    np.testing.assert_allclose(crop.size, case["out"]["input_scale"], rtol=1e-6)
    forward = case["out"]["matrix"].astype(np.float64)
    np.testing.assert_allclose(crop.matrix, cv2.invertAffineTransform(forward), atol=5e-6)
    np.testing.assert_array_equal(pixels(crop, case["in"]["img"]), case["out"]["img"])


def test_a_whole_image_equals_mmpose() -> None:
    case = CASES["bottomup_expand_std"]
    crop = WHOLE.whole(SHAPE)
    assert crop == WarpedFrame(SHAPE, (128, 192), (45, 30), (90, 60), False)
    np.testing.assert_array_equal(pixels(crop, case["in"]["img"]), case["out"]["img"])
    # mmpose 1.x maps spacing to lengths here; ours is that of mmpose 0.x, but the pixels can be compared.
    case = CASES["bottomup_expand_udp"]
    crop = WarpedFrame(SHAPE, (128, 192), (44.5, 29.5), (90, 60), True)
    np.testing.assert_array_equal(pixels(crop, case["in"]["img"]), case["out"]["img"])


@pytest.mark.parametrize("spacing", [False, True])
@pytest.mark.parametrize("shape", [(512, 512), (480, 640), (641, 427), (100, 99), (37, 301), (1, 1)])
@pytest.mark.parametrize(("scale", "least"), [(1, 1), (0.5, 0.5), (1, 0.5), (2, 0.5), (1.5, 0.75)])
def test_sizes_of_whole_images(shape: tuple[int, int], scale: float, least: float, spacing: bool) -> None:
    """The rule of mmpose 0.x, `_get_multi_scale_size`, for a square input of 512 px and multiples of 64."""
    crop = replace(WHOLE, size=(512, 512), spacing=spacing).whole(shape, scale, least)
    axis = int(shape[1] < shape[0])  # the shorter one
    sides = [0, 0]
    sides[axis] = ceil(least * 512 / 64) * 64
    sides[1 - axis] = ceil(sides[axis] / shape[axis] * shape[1 - axis] / 64) * 64
    assert crop.canvas_size == tuple(int(side * scale / least) for side in sides)
    extent = max(1, shape[axis] - spacing)
    size = [(sides[i] - spacing) / (sides[axis] - spacing) * extent for i in (1, 0)]
    np.testing.assert_allclose(crop.size, size)
    np.testing.assert_allclose(crop.centre, np.array(size) / 2 if spacing else (shape[1] / 2, shape[0] / 2))


def test_an_image_that_is_too_oblong_is_refused() -> None:
    with pytest.raises(InputError, match="5000x3 px: its aspect ratio is too extreme, it would become 213376x128 px"):
        WHOLE.whole((3, 5000))


@pytest.mark.parametrize("spacing", [False, True])
@pytest.mark.parametrize(
    ("shape", "box"),
    [
        ((60, 90), (10, 5, 60, 50)),
        ((60, 90), (-30, -20, 40, 70)),
        ((60, 90), (70, 40, 130, 99)),
        ((60, 90), (-200, -200, 300, 300)),
        ((60, 90), (41.3, 20.7, 44.1, 22.2)),
        ((60, 90), (89.5, 59.5, 89.6, 59.6)),
        ((1, 1), (-1, -1, 2, 2)),
        ((1, 1), (0, 0, 0, 0)),
        ((1, 40), (0, 0, 40, 1)),
        ((40, 1), (-3, 0, 4, 40)),
    ],
)
def test_equals_the_oracle(shape: tuple[int, int], box: tuple[float, ...], spacing: bool) -> None:
    image = noise(*shape)
    crop = replace(CROP, size=(32, 24), spacing=spacing).of_box(np.array(box), shape)
    found = pixels(crop, image)
    expected, bound = sampled(image, crop.matrix, crop.canvas_size)
    assert np.array_equal(found, np.round(found))
    assert (np.abs(found - expected) <= bound).all()


def sampled(image: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Bilinear samples (h, w, 3) in float64 with zeros around, and how far the fixed point may be from them."""
    height, width = image.shape[:2]
    values, bounds = np.zeros((*size, 3)), np.zeros((*size, 3))

    def pixel(y: int, x: int) -> np.ndarray:
        return image[y, x].astype(np.float64) if 0 <= y < height and 0 <= x < width else np.zeros(3)

    for row, column in np.ndindex(size):
        x, y = matrix @ (column, row, 1)
        left, top = floor(x), floor(y)
        a, b = x - left, y - top
        taps = np.array([[pixel(top + j, left + i) for i in range(-1, 3)] for j in range(-1, 3)])
        values[row, column] = (taps[1, 1] * (1 - a) + taps[1, 2] * a) * (1 - b) + (
            taps[2, 1] * (1 - a) + taps[2, 2] * a
        ) * b
        # Coordinates are off by half of 1/32 px, and by half of 1/1024 px twice; then the level is rounded.
        steps = np.abs(np.diff(taps, axis=0)).max((0, 1)) + np.abs(np.diff(taps, axis=1)).max((0, 1))
        bounds[row, column] = 0.5 + (1 / 64 + 1 / 1024) * steps
    return values, bounds + 1e-6


@pytest.mark.parametrize("box", [(-500, 0, -400, 50), (0, 5000, 50, 5050), (9e5, 9e5, 1e6, 1e6), (95, 70, 96, 71)])
def test_outside_the_image_all_is_black(box: tuple[float, ...]) -> None:
    values = Normalization("rgb", (10.0, 20.0, 30.0), (2.0, 4.0, 8.0))
    crop = replace(CROP, enlarge=(1.0, 1.0)).of_box(np.array(box, np.float32), SHAPE)
    canvas = pixels(crop, noise(*SHAPE), values)
    np.testing.assert_array_equal(canvas, np.broadcast_to(np.float32([-5, -5, -3.75]), (64, 48, 3)))


def test_colours_and_normalisation() -> None:
    image, crop = noise(*SHAPE), CROP.of_box(BOXES[3], SHAPE)
    levels = pixels(crop, image)
    mean, std = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    bgr = pixels(crop, image, Normalization("bgr", mean, std))
    np.testing.assert_array_equal(bgr, (levels - np.float32(mean)) / np.float32(std))
    rgb = pixels(crop, image, Normalization("rgb", mean, std))
    np.testing.assert_array_equal(rgb, (levels[..., ::-1] - np.float32(mean)) / np.float32(std))


def test_views_and_several_people() -> None:
    large = noise(120, 200)
    crops = [CROP.of_box(box, SHAPE) for box in BOXES]
    for view in (large[20:80, 30:120], large[::2, ::2], large[:60, :90, ::-1], large[:60, 90:0:-1]):
        canvases = np.empty((4, 3, 64, 48), np.float32)
        fill_warped(canvases, view, crops, RAW)
        for canvas, crop in zip(canvases, crops, strict=True):
            np.testing.assert_array_equal(canvas.transpose(1, 2, 0), pixels(crop, view.copy()))
    fill_warped(np.empty((0, 3, 64, 48), np.float32), large, [], RAW)


@pytest.mark.parametrize(("spacing", "shift"), [(True, 0.0), (False, 62.5 / 48 - 1)])
def test_spacing_agrees_with_its_mirror_image(spacing: bool, shift: float) -> None:
    """Pixel i of a crop is pixel 47 - i of the mirrored one; with lengths it is a step of a pixel beside it."""
    crop = WarpedFrame(SHAPE, (64, 48), (35.0, 27.5), (62.5, 62.5 * 4 / 3), spacing)
    mirrored = replace(crop, centre=(89 + (not spacing) - 35.0, 27.5))
    columns = np.stack((np.arange(48), np.zeros(48), np.ones(48)))
    there, back = ((each.matrix @ columns)[0] for each in (crop, mirrored))
    np.testing.assert_allclose((89 - back[::-1]) - there, shift, atol=1e-12)


@pytest.mark.parametrize("spacing", [False, True])
def test_parts_go_where_the_pixels_came_from(spacing: bool) -> None:
    crop = replace(CROP, spacing=spacing).of_box(BOXES[2], SHAPE)
    places = np.random.default_rng(0).uniform(0, 60, (5, 17, 2))
    parts = places / (np.array([48, 64]) - spacing)
    expected = places @ crop.matrix[:, :2].T + crop.matrix[:, 2]
    assert crop.to_image(parts).dtype == np.float32
    np.testing.assert_allclose(crop.to_image(parts), expected, rtol=1e-6)


def test_sides_are_enlarged_before_the_aspect() -> None:
    """MSPN and RSN enlarge by 1.09 and 1.135, CPN by 1.2 and 1.3: numbers by hand."""
    box = np.array([100, 50, 200, 150])
    assert replace(CROP, enlarge=(1.09, 1.135)).of_box(box, SHAPE).size == pytest.approx((109, 109 / 0.75))
    assert replace(CROP, enlarge=(1.2, 1.7)).of_box(box, SHAPE).size == pytest.approx((127.5, 170))
    assert replace(CROP, enlarge=(1.09, 1.135)).of_box(box, SHAPE).centre == (150, 100)


def test_a_box_without_extent_is_a_pixel() -> None:
    crop = CROP.of_box(np.array([20.0, 30.0, 20.0, 30.0]), SHAPE)
    assert crop.centre == (20, 30)
    assert crop.size == pytest.approx((1.25, 1.25 / 0.75))


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_what_is_no_place_is_refused(place: int, value: float) -> None:
    box = np.array([0.0, 0.0, 5.0, 5.0])
    box[place] = value
    with pytest.raises(UsageError, match="not finite, or beyond any image"):
        CROP.of_box(box, SHAPE)


@pytest.mark.parametrize("box", [(10, 0, 5, 5), (0, 10, 5, 5)])
def test_a_side_below_zero_is_refused(box: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="ends before it begins; give x1 y1 x2 y2"):
        CROP.of_box(np.array(box), SHAPE)


COORDINATE = st.floats(-1e6, 1e6)


@given(st.tuples(COORDINATE, COORDINATE), st.tuples(COORDINATE, COORDINATE), st.booleans())
def test_every_box_gives_a_finite_crop(one: tuple[float, float], two: tuple[float, float], spacing: bool) -> None:
    box = np.concatenate((np.minimum(one, two), np.maximum(one, two)))
    crop = replace(CROP, size=(8, 6), spacing=spacing).of_box(box, (6, 9))
    assert np.isfinite(crop.matrix).all()
    assert np.isfinite(pixels(crop, noise(6, 9))).all()
    middle = crop.to_image(np.array([0.5, 0.5]))
    np.testing.assert_allclose(middle, (box[:2] + box[2:]) / 2, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("matrix", "image", "count"),
    [
        ([[1, 0.1, 0], [0, 1, 0]], noise(5, 5), 1),
        ([[-1, 0, 4], [0, 1, 0]], noise(5, 5), 1),
        ([[1, 0, np.nan], [0, 1, 0]], noise(5, 5), 1),
        ([[1, 0, 0], [0, 1e300, 0]], noise(5, 5), 1),
        ([[5e11, 0, 0], [0, 1, 0]], noise(5, 5), 1),  # whose last column is beyond the fixed point
        ([[1, 0, 0], [0, 1, 0]], noise(0, 5), 1),
        ([[1, 0, 0], [0, 1, 0]], noise(5, 5), 2),
    ],
)
def test_the_kernel_refuses_what_it_cannot_do(matrix: list, image: np.ndarray, count: int) -> None:
    canvases = np.empty((count, 3, 4, 4), np.float32)
    with pytest.raises(ValueError, match=r"matrix|pixels|number"):
        _native.crop(image, np.array([matrix], np.float64), canvases, (0, 0, 0), (1, 1, 1), False)


@pytest.mark.parametrize(("shape", "size"), [((240, 320), (426.67, 240)), ((100, 300), (300, 168.75))])
def test_an_image_inside_a_canvas_is_whole_and_centred(shape, size):
    inside = Cover((72, 128), 8, inside=True)
    crop = inside.whole(shape)
    assert crop.canvas_size == inside.canvas == (72, 128)
    np.testing.assert_allclose(crop.size, size, atol=0.01)
    assert crop.centre == (shape[1] / 2, shape[0] / 2)
    assert inside.fixed((64, 64)).whole(shape).canvas_size == (64, 64)
