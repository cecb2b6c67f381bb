"""From which sizes to which an engine takes its input: from the file's free axes and what preprocessing makes."""

from collections.abc import Mapping
from dataclasses import replace

from ..backends import Port
from ..card import Card, Input
from ..crop import crop_whole
from ..errors import IncompatibleError, UsageError
from ..forms import TagDecode
from ..preprocess import frame_for

Sizes = tuple[int, ...]
Profile = Mapping[str, tuple[Sizes, Sizes, Sizes]]
"""Of every input with free axes its smallest, its usual and its largest shape."""

Canvas = tuple[int, int]

USUAL_BATCH = (1, 1, 8)
_LARGEST_KEPT = 1280  # px, of images whose size preprocessing keeps
_USUAL_IMAGE = (480, 640)
_PADDED = ("edges", "keep")  # others have one size, or grow from it with their scale


def profile(image: Port, card: Card, batch: tuple[int, int, int] | None = None) -> Profile:
    """The profile of the input `image` (n, 3, h, w) for batches `batch` = (smallest, usual, largest).

    A fixed batch is that of the file, a free one USUAL_BATCH unless given. UsageError where `batch` contradicts the
    file, IncompatibleError where the file contradicts its Card.
    """
    if len(image.shape) != 4 or image.shape[1] not in (3, None):
        raise IncompatibleError(f"the file takes {_text(image.shape)}, not images (n, 3, h, w); export it anew")
    fixed = image.shape[0]
    if fixed is not None and batch is not None and {*batch} != {fixed}:
        raise UsageError(f"the file's batch is fixed at {fixed}, not {batch}; export it with --batch dynamic")
    batches = (fixed, fixed, fixed) if fixed is not None else batch or USUAL_BATCH
    canvases = _canvases(card)
    _check_canvases(image, canvases, card)
    if None not in image.shape:
        return {}
    shapes = [
        (n, 3, image.shape[2] or height, image.shape[3] or width)
        for n, (height, width) in zip(batches, canvases, strict=True)
    ]
    return {image.name: (shapes[0], shapes[1], shapes[2])}


def _check_canvases(image: Port, canvases: list[Canvas], card: Card) -> None:
    """A fixed side has to be one that preprocessing makes."""
    smallest, _, largest = canvases
    for axis, side in enumerate(image.shape[2:]):
        if side is None or (smallest[axis] <= side <= largest[axis] and _is_padded(side, card.input)):
            continue
        made = f"{smallest[0]}x{smallest[1]} to {largest[0]}x{largest[1]} px"
        if card.input.resize in _PADDED:
            made += f", padded to {card.input.pad_multiple}"
        raise IncompatibleError(
            f"the file takes {_text(image.shape)} and its Card makes canvases of {made}; export {card.model} anew"
        )


def _is_padded(side: int, spec: Input) -> bool:
    """Whether padding gives this side: of itself, or, where it always adds, of one px less."""
    if spec.resize not in _PADDED:
        return True
    sides = side, max(1, side - 1)
    return side in frame_for(sides, replace(spec, resize="keep", size=None)).canvas_size


def _canvases(card: Card) -> list[Canvas]:
    """The smallest, the usual and the largest canvas (height, width) that preprocessing makes."""
    spec = card.input
    if spec.resize in ("canvas", "crop"):
        assert spec.size is not None
        return [spec.size] * 3
    if spec.resize == "warp":
        return _warped(spec, card.decode.scales if isinstance(card.decode, TagDecode) else (1.0,))
    long = _LARGEST_KEPT if spec.size is None else max(spec.size)
    # A square as large as the longest side holds wide and tall images alike.
    kept = replace(spec, resize="keep", size=None)
    smallest, largest = (frame_for((side, side), kept).canvas_size for side in (1, long))
    return [smallest, frame_for(_USUAL_IMAGE, spec).canvas_size, largest]


def _warped(spec: Input, scales: tuple[float, ...]) -> list[Canvas]:
    """One side is that of the size, the other grows with the image's aspect, here up to 2 to 1."""
    tall, wide, usual = (
        [crop_whole(size, spec, scale, min(scales)).canvas_size for scale in scales]
        for size in ((1280, 640), (640, 1280), _USUAL_IMAGE)
    )
    both = [*tall, *wide]
    smallest, largest = ((pick(h for h, _ in both), pick(w for _, w in both)) for pick in (min, max))
    return [smallest, usual[scales.index(1.0)], largest]


def _text(shape: tuple[int | None, ...]) -> str:
    return "x".join("?" if size is None else str(size) for size in shape)
