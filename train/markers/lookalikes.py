"""Patterns that look like codes but are none, which the detector must learn to reject.

Each function draws one flat image of the given size, (height, width, 3) uint8 BGR.
"""

from itertools import pairwise

import cv2
import numpy as np

from .paint import Image, Rng, blank, blend, chance, color, noise, write_lines


def lookalike(rng: Rng, height: int, width: int) -> Image:
    """A random look-alike."""
    return _ALL[int(rng.integers(len(_ALL)))](rng, height, width)


def text_page(rng: Rng, height: int, width: int) -> Image:
    """Lines of print in one to three columns, some with a heading."""
    page = blank(color(rng, 170, 255, 0.15), height, width)
    ink = color(rng, 0, 90, 0.5)
    margin = int(width * rng.uniform(0.02, 0.1)) + 1
    columns = int(rng.integers(1, 4))
    edges = np.linspace(margin, width - margin, columns + 1).astype(int)
    letter = int(rng.integers(6, max(height // 12, 8)))
    leading = rng.uniform(1.1, 2)
    for left, right in pairwise(edges):
        write_lines(rng, page[margin:-margin, left : max(right - margin, left + 1)], ink, letter, leading)
    return page


def stripes(rng: Rng, height: int, width: int) -> Image:
    """Regular or slightly irregular stripes: railings, blinds, radiators, zebra cloth."""
    period = rng.uniform(4, width / 5)
    x = np.arange(width, dtype=np.float32) / period
    if chance(rng, 0.4):
        x = x + 0.3 * noise(rng, 1, width, period * 3)[0]
    wave = np.sin(2 * np.pi * x)
    if chance(rng, 0.6):
        wave = np.clip((wave - rng.uniform(-0.6, 0.6)) * 6, -1, 1)
    mask = np.tile(((wave + 1) * 127).astype(np.uint8), (height, 1))
    return _two_tone(rng, mask if chance(rng, 0.6) else _quarter_turn(mask, height, width))


def gingham(rng: Rng, height: int, width: int) -> Image:
    """Checked cloth. It has three tones, while a chessboard has two."""
    period = int(rng.integers(6, max(width // 4, 8)))
    bands_x = (np.arange(width) // period) % 2
    bands_y = (np.arange(height) // period) % 2
    return _two_tone(rng, (np.add.outer(bands_y, bands_x) * 127).astype(np.uint8))


def tiles(rng: Rng, height: int, width: int) -> Image:
    """Tiles or bricks of one tone each, with joints, sometimes shifted row by row."""
    tile_h, tile_w = (int(rng.integers(8, max(side // 3, 10))) for side in (height, width))
    rows, cols = height // tile_h + 1, width // tile_w + 2
    tones = rng.uniform(90, 220) + rng.uniform(2, 40) * rng.standard_normal((rows, cols))
    mask = np.repeat(np.repeat(tones.clip(0, 255).astype(np.uint8), tile_h, 0), tile_w, 1)
    joint = max(int(min(tile_h, tile_w) * rng.uniform(0.02, 0.15)), 1)
    tone = int(rng.integers(256))
    mask[np.arange(len(mask)) % tile_h < joint] = tone
    mask[:, np.arange(mask.shape[1]) % tile_w < joint] = tone
    if chance(rng, 0.5):
        for row in range(1, rows, 2):
            band = mask[row * tile_h : (row + 1) * tile_h]
            band[:] = np.roll(band, tile_w // 2, axis=1)
    return _two_tone(rng, np.ascontiguousarray(mask[:height, :width]))


def crossword(rng: Rng, height: int, width: int) -> Image:
    """A grid of outlined cells, a few of them black."""
    cell = max(min(height, width) // int(rng.integers(5, 16)), 4)
    rows, cols = height // cell + 1, width // cell + 1
    dark = rng.random((rows, cols)) < rng.uniform(0.05, 0.35)
    mask = np.repeat(np.repeat(dark.astype(np.uint8) * 255, cell, 0), cell, 1)
    mask[::cell] = 255
    mask[:, ::cell] = 255
    return _two_tone(rng, np.ascontiguousarray(mask[:height, :width]))


def static(rng: Rng, height: int, width: int) -> Image:
    """Random black and white cells, as dense as a QR code but without finder patterns."""
    cell = int(rng.integers(3, 14))
    dark = rng.random((height // cell + 1, width // cell + 1)) < rng.uniform(0.25, 0.6)
    mask = np.repeat(np.repeat(dark.astype(np.uint8) * 255, cell, 0), cell, 1)
    return _two_tone(rng, np.ascontiguousarray(mask[:height, :width]))


def piano(rng: Rng, height: int, width: int) -> Image:
    """Piano keys."""
    key = max(width // int(rng.integers(8, 30)), 5)
    picture = blank(color(rng, 200, 255, 0.1), height, width)
    ink = color(rng, 0, 60, 0.1)
    for index, left in enumerate(range(0, width, key)):
        picture[:, left : left + 1] = ink
        if index % 7 not in (2, 6):
            picture[: int(height * 0.62), left + int(key * 0.7) : left + int(key * 1.3)] = ink
    return picture


def windows(rng: Rng, height: int, width: int) -> Image:
    """Rounded boxes in rows: a window front, a keyboard or goods on a shelf."""
    picture = blank(color(rng, 60, 220, 0.3), height, width)
    rows, cols = int(rng.integers(2, 9)), int(rng.integers(2, 12))
    step_y, step_x = height / rows, width / cols
    fill = rng.uniform(0.4, 0.9)
    ink = color(rng, 10, 120, 0.4)
    for row in range(rows):
        for col in range(cols):
            tone = (ink * rng.uniform(0.6, 1.6)).clip(0, 255).tolist()
            top, left = int(row * step_y), int(col * step_x)
            corner = (left + int(step_x * fill), top + int(step_y * fill))
            cv2.rectangle(picture, (left, top), corner, tone, -1)
            cv2.rectangle(picture, (left, top), corner, (ink * 0.5).tolist(), 1)
    return picture


def grille(rng: Rng, height: int, width: int) -> Image:
    """Rows of holes: perforated metal, loudspeakers, vents."""
    step = int(rng.integers(5, max(width // 8, 7)))
    offset = np.arange(step) - (step - 1) / 2
    disc = np.add.outer(offset**2, offset**2) <= (rng.uniform(0.2, 0.45) * step) ** 2
    mask = np.tile(disc.astype(np.uint8) * 255, (height // step + 1, width // step + 1))
    return _two_tone(rng, np.ascontiguousarray(mask[:height, :width]))


def rings(rng: Rng, height: int, width: int) -> Image:
    """Nested squares and circles: single finder patterns, targets, icons, laundry symbols."""
    picture = blank(color(rng, 150, 255, 0.3), height, width)
    ink = color(rng, 0, 90, 0.6).tolist()
    for _ in range(int(rng.integers(2, 9))):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        radius = int(rng.integers(4, max(min(height, width) // 4, 6)))
        stroke = max(radius // 4, 1)
        if chance(rng, 0.5):
            cv2.rectangle(picture, (x - radius, y - radius), (x + radius, y + radius), ink, stroke)
        else:
            cv2.circle(picture, (x, y), radius, ink, stroke, cv2.LINE_AA)
        if chance(rng, 0.5):
            cv2.circle(picture, (x, y), radius // 2, ink, -1, cv2.LINE_AA)
    return picture


def _two_tone(rng: Rng, mask: np.ndarray) -> Image:
    dark, light = color(rng, 0, 110, 0.6), color(rng, 120, 255, 0.4)
    return blend(mask, dark, light) if chance(rng, 0.7) else blend(mask, light, dark)


def _quarter_turn(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    return cv2.resize(np.ascontiguousarray(mask.T), (width, height))


_ALL = (text_page, text_page, stripes, gingham, tiles, crossword, static, piano, windows, grille, rings)
