"""Slips that symbols are printed on: bare slips, labels with text, sheets with several symbols, posters.

Coordinates are continuous pixels: pixel i covers i..i+1.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from .backgrounds import photograph
from .lookalikes import lookalike
from .paint import Image, Rng, blank, chance, color, noise, text_line, write_lines
from .symbols import ARUCO, LABELS, Mark, Symbol, draw

_LABEL_SHARES = (0.28, 0.34, 0.17, 0.21)  # More barcodes, since they become illegible first.


@dataclass(frozen=True)
class Slip:
    """A flat object with symbols on it.

    image: (h, w, 3) uint8 BGR. alpha: (h, w) uint8, 0 outside the slip. marks: its symbols.
    """

    image: Image
    alpha: np.ndarray
    marks: tuple[Mark, ...]


def symbol_slip(rng: Rng) -> Slip:
    """A random slip with one symbol or, with probability 1/7, a sheet of up to six."""
    label = int(rng.choice(len(LABELS), p=_LABEL_SHARES))
    kind = rng.random()
    if kind < 0.36:
        symbol = draw(rng, label)
        return _cut(rng, symbol.image, (symbol.mark,))
    if kind < 0.74:
        return _label(rng, draw(rng, label))
    if kind < 0.88:
        return _sheet(rng, label)
    return _poster(rng, draw(rng, label))


def empty_slip(rng: Rng) -> Slip:
    """A slip with a look-alike instead of a symbol."""
    height, width = (int(side) for side in rng.integers(80, 320, 2))
    return _cut(rng, lookalike(rng, height, width), ())


def _label(rng: Rng, symbol: Symbol) -> Slip:
    """A label: the symbol among lines of text, sometimes with a coloured band and a frame."""
    height, width = symbol.image.shape[:2]
    before = (rng.uniform(0.02, 0.7, 2) * (height, width)).astype(int)
    after = (rng.uniform(0.02, 0.7, 2) * (height, width)).astype(int)
    paper = symbol.paper if chance(rng, 0.7) else color(rng, 120, 255, 0.4)
    canvas = blank(paper, height + before[0] + after[0], width + before[1] + after[1])
    ink = color(rng, 0, 70, 0.5)
    letter = int(rng.integers(10, 32))
    for region in (canvas[: before[0]], canvas[-after[0] :]):
        if chance(rng, 0.7):
            write_lines(rng, region[3:-3, 6:-6], ink, letter)
    for region in (canvas[:, : before[1]], canvas[:, -after[1] :]):
        if chance(rng, 0.4):
            write_lines(rng, region[6:-6, 3:-3], ink, letter)
    if chance(rng, 0.3):
        canvas[: before[0]] = color(rng, 30, 200, 0.9)
        _headline(rng, canvas[: before[0]])
    if chance(rng, 0.3):
        far = (canvas.shape[1] - 4, len(canvas) - 4)
        cv2.rectangle(canvas, (3, 3), far, ink.tolist(), int(rng.integers(1, 6)))
    return _cut(rng, canvas, (_put(canvas, symbol, before[1], before[0]),))


def _sheet(rng: Rng, label: int) -> Slip:
    """A sheet with 2 to 6 symbols in a grid: a marker board, a page of tickets, a parcel's codes."""
    rows, cols = ((1, 2), (2, 1), (2, 2), (1, 3), (2, 3))[int(rng.integers(5))]
    mixed = label != ARUCO and chance(rng, 0.5)
    cell, gap = 220, int(rng.uniform(0.02, 0.35) * 220)
    canvas = blank(color(rng, 200, 255, 0.1), rows * (cell + gap) + gap, cols * (cell + gap) + gap)
    marks = []
    for row in range(rows):
        for col in range(cols):
            symbol = _shrunk(draw(rng, int(rng.integers(len(LABELS))) if mixed else label), cell)
            height, width = symbol.image.shape[:2]
            left, top = gap + col * (cell + gap), gap + row * (cell + gap)
            marks.append(_put(canvas, symbol, left + (cell - width) // 2, top + (cell - height) // 2))
    return _cut(rng, canvas, tuple(marks))


def _poster(rng: Rng, symbol: Symbol) -> Slip:
    """The symbol, with its quiet zone, printed on an image."""
    height, width = symbol.image.shape[:2]
    side = int(max(height, width) * rng.uniform(1.1, 2.2))
    canvas = photograph(rng, side) if chance(rng, 0.6) else lookalike(rng, side, side)
    left, top = int(rng.integers(side - width + 1)), int(rng.integers(side - height + 1))
    return _cut(rng, canvas, (_put(canvas, symbol, left, top),))


def _put(canvas: Image, symbol: Symbol, left: int, top: int) -> Mark:
    height, width = symbol.image.shape[:2]
    canvas[top : top + height, left : left + width] = symbol.image
    return replace(symbol.mark, corners=symbol.mark.corners + np.float32((left, top)))


def _shrunk(symbol: Symbol, side: int) -> Symbol:
    height, width = symbol.image.shape[:2]
    factor = side / max(height, width)
    size = (max(int(width * factor), 1), max(int(height * factor), 1))
    corners = symbol.mark.corners * np.float32((size[0] / width, size[1] / height))
    image = cv2.resize(symbol.image, size, interpolation=cv2.INTER_AREA)
    return replace(symbol, image=image, mark=replace(symbol.mark, corners=corners))


def _headline(rng: Rng, band: Image) -> None:
    height = int(len(band) * 0.6)
    if height < 8:
        return
    line = text_line(rng, height, band.shape[1] - 8)
    top = (len(band) - height) // 2
    band[top : top + height, 4 : 4 + line.shape[1]][line > 127] = color(rng, 220, 255, 0.1)


def _cut(rng: Rng, image: Image, marks: tuple[Mark, ...]) -> Slip:
    """Cut out the slip, rectangular, with round corners or with torn edges, without cutting into a symbol."""
    height, width = image.shape[:2]
    alpha = np.full((height, width), 255, np.uint8)
    inner = [(m.corners.min(0), m.corners.max(0)) for m in marks]
    slack = min((min(*low, *((width, height) - high)) for low, high in inner), default=min(height, width) / 4)
    if slack > 6 and chance(rng, 0.4):
        radius = int(min(slack, 40))
        x = np.minimum(np.arange(width), np.arange(width)[::-1])
        y = np.minimum(np.arange(height), np.arange(height)[::-1])
        inset = np.maximum(radius - x, 0)[None] ** 2 + np.maximum(radius - y, 0)[:, None] ** 2
        alpha[inset > radius**2] = 0
        if chance(rng, 0.15):
            edge = np.minimum(x[None], y[:, None])
            alpha[edge < slack * 0.4 * (1 + noise(rng, height, width, 40))] = 0
    return Slip(image, alpha, marks)
