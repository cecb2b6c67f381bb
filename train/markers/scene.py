"""Generated photographs of symbols and the boxes that a detector should find in them.

The state of the random generator determines the scene. A symbol that is illegible because it is too small, too
blurred or hidden is not labelled, and if possible not painted.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from .backgrounds import background
from .camera import Lens, random_lens, shoot
from .paint import Image, Rng, chance, color, noise
from .slips import Slip, empty_slip, symbol_slip
from .symbols import ARUCO, BARCODE, CHESSBOARD, QR_CODE, Mark
from .warp import Bend, Pose, frame, paste, random_bend, random_view

_COUNTS = (1, 2, 3, 4, 5, 6)
_COUNT_SHARES = (0.36, 0.24, 0.16, 0.11, 0.07, 0.06)
_LEAST_SIDE = 10  # px
_LEAST_VISIBLE = 0.5  # of a symbol's area, to be labelled
_ATTEMPTS = 8
# The smallest legible module: in px, and in standard deviations of the blur.
_LEAST_MODULE = {QR_CODE: (0.7, 0.5), BARCODE: (0.65, 0.7), ARUCO: (1.2, 0.55), CHESSBOARD: (1.5, 1.3)}


@dataclass(frozen=True)
class Scene:
    """A training image and its ground truth.

    image: (size, size, 3) uint8 BGR. boxes: (n, 4) float32 xyxy px. labels: (n,) int64, indices of LABELS.
    corners: (n, 4, 2) float32 px, each symbol's outline in its own order, which may leave the frame. seen: (n, 4)
    bool, whether a corner lies within the frame and is not covered.
    """

    image: Image
    boxes: np.ndarray
    labels: np.ndarray
    corners: np.ndarray
    seen: np.ndarray


def compose(rng: Rng, size: int = 416) -> Scene:
    """A scene of size x size px with up to six labelled symbols. About one in eight scenes has none."""
    image, lens = background(rng, size), random_lens(rng)
    placed: list[_Placed] = []
    for _ in range(int(rng.integers(1, 3)) if chance(rng, 0.25) else 0):
        _place(rng, image, empty_slip(rng), lens, placed, wanted=2)
    wanted = 0 if chance(rng, 0.11) else int(rng.choice(_COUNTS, p=_COUNT_SHARES))
    for _ in range(wanted):
        slip = symbol_slip(rng)
        if len(placed) < wanted and len(placed) + len(slip.marks) <= _COUNTS[-1]:
            _place(rng, image, slip, lens, placed, wanted)
    hidden = np.zeros((size, size), np.uint8)
    if placed and chance(rng, 0.25):
        _occlude(rng, image, hidden, placed)
    kept = [one for one in placed if one.visible(size, hidden) >= _LEAST_VISIBLE]
    boxes = np.array([one.box(size) for one in kept], np.float32).reshape(-1, 4)
    labels = np.array([one.label for one in kept], np.int64)
    corners = np.array([one.corners for one in kept], np.float32).reshape(-1, 4, 2)
    seen = np.array([_seen(one, placed, hidden) for one in kept], bool).reshape(-1, 4)
    return Scene(shoot(rng, image, lens), boxes, labels, corners, seen)


@dataclass(frozen=True)
class _Placed:
    """A symbol in the photograph: its outline and the border of its slip, both (n, 2) float32 px.

    Both may leave the frame.
    """

    label: int
    outline: np.ndarray
    border: np.ndarray

    @property
    def corners(self) -> np.ndarray:
        """(4, 2) px, the start of each side of the outline."""
        return self.outline[:: len(self.outline) // 4]

    def box(self, size: int) -> np.ndarray:
        """The bounding box of the outline, clipped to the photograph. (4,) xyxy px."""
        return np.concatenate([self.outline.min(0), self.outline.max(0)]).clip(0, size)

    def visible(self, size: int, hidden: np.ndarray) -> float:
        """The fraction of the symbol's area that lies within the frame and is not hidden."""
        mask = np.zeros((size, size), np.uint8)
        cv2.fillPoly(mask, [np.round(self.outline).astype(np.int32)], 255)
        return cv2.countNonZero(mask & ~hidden) / max(cv2.contourArea(self.outline), 1)


def _place(rng: Rng, image: Image, slip: Slip, lens: Lens, placed: list[_Placed], wanted: int) -> None:
    """Paint the slip so that its symbols are legible and cover no earlier ones, or skip it if no place is found."""
    bend = random_bend(rng)
    for _ in range(_ATTEMPTS):
        pose = _random_pose(rng, slip, bend, len(image), wanted)
        border = pose.outline(frame(slip.image))
        new = [_Placed(mark.label, pose.outline(mark.corners), border) for mark in slip.marks]
        pairs = zip(new, slip.marks, strict=True)
        if not all(_acceptable(rng, one, mark, lens, len(image)) for one, mark in pairs):
            continue
        if not any(_covers(border, one.outline) for one in placed):
            paste(image, slip.image, slip.alpha, pose)
            placed += new
            return


def _random_pose(rng: Rng, slip: Slip, bend: Bend, size: int, wanted: int) -> Pose:
    """A view in which the slip's first symbol has a log-uniform size, mostly within the frame."""
    height, width = slip.image.shape[:2]
    centre, half = np.float32((width / 2, height / 2)), max(height, width) / 2
    view = random_view(rng, height, width)
    corners = slip.marks[0].corners if slip.marks else frame(slip.image)
    # First at any scale, to measure its size, then at the desired scale and place.
    outline = Pose(view, bend, centre, half).outline(corners)
    largest = 0.92 * size / np.sqrt(max(wanted - 1, 1))
    # A small look-alike cannot be told from a code, so a slip without symbols is larger.
    smallest = 0.05 * size if slip.marks else 0.15 * size
    target = np.exp(rng.uniform(np.log(smallest), np.log(largest)))
    scale = target / max(np.linalg.norm(side[-1] - side[0]) for side in np.split(outline, 4))
    low, high = outline.min(0) * scale, outline.max(0) * scale
    slack = size - (high - low)
    if (slack > 0).all() and chance(rng, 0.85):
        shift = rng.uniform(0, slack) - low
    else:
        shift = rng.uniform(0, size, 2) - (low + high) / 2
    place = np.array([[scale, 0, shift[0]], [0, scale, shift[1]], [0, 0, 1]])
    return Pose(place @ view, bend, centre, half)


def _acceptable(rng: Rng, one: _Placed, mark: Mark, lens: Lens, size: int) -> bool:
    """Whether a symbol is legible and mostly within the frame. A few outside remain, unlabelled."""
    sides = [np.linalg.norm(np.diff(side, axis=0), axis=1).sum() for side in np.split(one.outline, 4)]
    across, along = min(sides[0], sides[2]), min(sides[1], sides[3])
    absolute, relative = _LEAST_MODULE[mark.label]
    module = across / mark.modules[0]
    if mark.label != BARCODE:
        module = min(module, along / mark.modules[1])
    area = cv2.contourArea(one.outline)
    if module < max(absolute, relative * lens.spread) or area < _LEAST_SIDE * max(across, along):
        return False
    box = one.box(size)
    if min(box[2:] - box[:2]) < _LEAST_SIDE:
        return False
    share = one.visible(size, np.zeros((size, size), np.uint8))
    return share >= _LEAST_VISIBLE + 0.1 or chance(rng, 0.03)


def _covers(border: np.ndarray, outline: np.ndarray) -> bool:
    low = np.maximum(border.min(0), outline.min(0))
    shared = np.clip(np.minimum(border.max(0), outline.max(0)) - low, 0, None).prod()
    return shared > 0.05 * min(np.ptp(shape, axis=0).prod() for shape in (border, outline))


def _seen(one: _Placed, placed: list[_Placed], hidden: np.ndarray) -> list[bool]:
    """Whether each corner lies within the photograph and is not covered."""
    size = len(hidden)
    first = next(i for i, other in enumerate(placed) if other is one)
    later = [other.border for other in placed[first:] if other.border is not one.border]
    return [
        0 <= x < size
        and 0 <= y < size
        and not hidden[int(y), int(x)]
        and all(cv2.pointPolygonTest(border, (float(x), float(y)), False) < 0 for border in later)
        for x, y in one.corners
    ]


def _occlude(rng: Rng, image: Image, hidden: np.ndarray, placed: list[_Placed]) -> None:
    """Cover a part of one symbol with a finger, a bar or a blob, in place in `image` and `hidden`."""
    size = len(image)
    target = placed[int(rng.integers(len(placed)))].outline
    mask = np.zeros((size, size), np.uint8)
    centre = target[int(rng.integers(len(target)))] * 0.75 + target.mean(0) * 0.25
    width = max(float(np.ptp(target, axis=0).min()) * rng.uniform(0.12, 0.4), 3)
    kind, angle = rng.random(), rng.uniform(0, 2 * np.pi)
    end = centre + 2 * size * np.array([np.cos(angle), np.sin(angle)])
    if kind < 0.4:
        tone = np.float32([120, 150, 205]) * rng.uniform(0.35, 1.1)
        cv2.line(mask, _point(centre), _point(end), 255, int(width), cv2.LINE_AA)
    elif kind < 0.7:
        tone = color(rng, 0, 255, 0.6)
        cv2.line(mask, _point(2 * centre - end), _point(end), 255, max(int(width / 2), 2), cv2.LINE_AA)
    else:
        tone = color(rng, 0, 255, 0.6)
        cv2.ellipse(mask, _point(centre), (int(width), int(width * 0.6)), np.degrees(angle), 0, 360, 255, -1)
    too_much = any(one.visible(size, mask) < 0.62 * one.visible(size, hidden) for one in placed)
    if too_much and not chance(rng, 0.05):
        return
    # Shade it as a round object lit from one side.
    softness = (2 * int(width / 4) + 1, 2 * int(width / 4) + 1)
    relief = cv2.blur(cv2.blur(mask, softness), softness)
    shade = 0.75 + 0.35 * relief / 255 + 0.05 * noise(rng, size, size, 6, 2)
    alpha = cv2.GaussianBlur(mask, (0, 0), 0.7)[..., None] / np.float32(255)
    image[:] = image + alpha * ((tone * shade[..., None]).clip(0, 255) - image)
    hidden |= (mask > 127).astype(np.uint8) * 255


def _point(xy: np.ndarray) -> tuple[int, int]:
    return int(xy[0]), int(xy[1])
