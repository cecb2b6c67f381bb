"""Clean printed symbols of the four classes, with their outlines.

A symbol consists of modules, the smallest squares or bars of its standard. It is drawn upright at an integer number of
pixels per module, in one ink on one paper, within its quiet zone.
"""

from dataclasses import dataclass

import barcode
import cv2
import numpy as np
import segno

from .paint import Image, Rng, blend, chance, color, text_line

LABELS = ("qr_code", "barcode", "aruco", "chessboard")
QR_CODE, BARCODE, ARUCO, CHESSBOARD = range(len(LABELS))

_LONG_SIDE = 256  # approximate px; scenes shrink a symbol more often than they enlarge it
_CODE39 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"  # its alphabet without punctuation
_PAYLOAD = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._:/?=&"
_QR_CAPACITY_H = (7, 14, 24, 34, 44, 58, 64, 84, 98, 119)  # bytes, versions 1..10, level H (ISO/IEC 18004)
_DICTIONARIES = tuple(
    getattr(cv2.aruco, name)
    for name in (
        *(f"DICT_{n}X{n}_{count}" for n in (4, 5, 6, 7) for count in (50, 250, 1000)),
        *("DICT_ARUCO_ORIGINAL", "DICT_ARUCO_MIP_36h12"),
        *(f"DICT_APRILTAG_{kind}" for kind in ("16h5", "25h9", "36h10", "36h11")),
    )
)
_BARCODES = ("code128", "code39", "ean13", "ean8", "upca", "itf")
_EAN_GUARDS = {
    "ean13": (0, 2, 46, 48, 92, 94),
    "upca": (0, 2, 46, 48, 92, 94),
    "ean8": (0, 2, 32, 34, 64, 66),
}


@dataclass(frozen=True)
class Mark:
    """The position of a symbol in an image, from which its box is computed.

    corners: (4, 2) float32 px, clockwise from the symbol's own top left, without quiet zone.
    modules: number of modules from left to right and from top to bottom.
    """

    label: int
    corners: np.ndarray
    modules: tuple[int, int]


@dataclass(frozen=True)
class Symbol:
    """A drawn symbol with its quiet zone.

    image: (h, w, 3) uint8 BGR. paper: (3,) float32, the colour of its quiet zone.
    """

    image: Image
    mark: Mark
    paper: np.ndarray


def draw(rng: Rng, label: int) -> Symbol:
    """A random symbol of the class `LABELS[label]`."""
    return (qr_code, barcode_lines, aruco, chessboard)[label](rng)


def qr_code(rng: Rng) -> Symbol:
    """A QR code of version 1 to 10 with square, round or joined modules, sometimes with a logo in its centre."""
    dark = _qr_modules(rng)
    count = len(dark)
    scale = _scale(count)
    mask = _enlarge(dark, scale)
    style = rng.random()
    if style < 0.12:
        mask = _rounded(mask, scale)
    elif style < 0.2:
        mask = _dotted(mask, scale, count)
    ink, paper = _inks(rng)
    if chance(rng, 0.04):
        ink, paper = paper, ink
    image = blend(mask, ink, paper)
    if chance(rng, 0.12):
        _stamp_logo(rng, image, paper)
    return _finish(rng, image, QR_CODE, (count, count), scale, paper, quiet=(1, 5))


def barcode_lines(rng: Rng) -> Symbol:
    """A one-dimensional barcode of one of six kinds, often with digits below, which are not part of the symbol."""
    kind = str(rng.choice(_BARCODES))
    bars = np.array([bit == "1" for bit in _barcode_modules(rng, kind)])
    count = len(bars)
    scale = max(round(1.5 * _LONG_SIDE / count), 2)
    height = scale * max(int(count * np.exp(rng.uniform(np.log(0.12), np.log(0.9)))), 6)
    written = chance(rng, 0.6)
    digits = max(int(min(height * 0.25, count * scale * 0.1)), 6) if written else 0
    guard = scale * (digits // (2 * scale)) if kind in _EAN_GUARDS and chance(rng, 0.8) else 0

    mask = np.zeros((height + guard + digits, count * scale), np.uint8)
    mask[:height] = _enlarge(bars[None], scale)[:1]
    for position in _EAN_GUARDS[kind] if guard else ():
        mask[height : height + guard, position * scale : (position + 1) * scale] = 255
    if written:
        line = text_line(rng, digits, int(mask.shape[1] * 0.8))
        left = (mask.shape[1] - line.shape[1]) // 2
        below = mask[height + 1 :][:digits, left : left + line.shape[1]]
        np.maximum(below, line[: len(below)], out=below)
    ink, paper = _inks(rng)
    modules = (count, (height + guard) // scale)
    return _finish(rng, blend(mask, ink, paper), BARCODE, modules, scale, paper, quiet=(2, 12))


def aruco(rng: Rng) -> Symbol:
    """A square fiducial marker of any ArUco or AprilTag dictionary that OpenCV knows."""
    dictionary = cv2.aruco.getPredefinedDictionary(int(rng.choice(_DICTIONARIES)))
    count = dictionary.markerSize + 2
    marker = int(rng.integers(len(dictionary.bytesList)))
    dark = cv2.aruco.generateImageMarker(dictionary, marker, count) == 0
    scale = _scale(count)
    ink, paper = _inks(rng)
    image = blend(_enlarge(dark, scale), ink, paper)
    return _finish(rng, image, ARUCO, (count, count), scale, paper, quiet=(0.4, 2.5))


def chessboard(rng: Rng) -> Symbol:
    """A calibration board of 3..14 squares per side. A quarter are ChArUco boards, with markers in white squares."""
    cols, rows = int(rng.integers(3, 11)), int(rng.integers(3, 15))
    if chance(rng, 0.6):
        cols, rows = rows, cols
    scale = max(_LONG_SIDE // max(cols, rows), 8)
    dark = (np.add.outer(np.arange(rows), np.arange(cols)) + int(rng.integers(2))) % 2 == 0
    mask = _enlarge(dark, scale)
    if chance(rng, 0.25):
        _fill_with_markers(rng, mask, ~dark, scale)
    ink, paper = _inks(rng)
    image = blend(mask, ink, paper)
    return _finish(rng, image, CHESSBOARD, (cols, rows), scale, paper, quiet=(0.15, 1.2))


def _fill_with_markers(rng: Rng, mask: np.ndarray, white: np.ndarray, scale: int) -> None:
    dictionary = cv2.aruco.getPredefinedDictionary(int(rng.choice(_DICTIONARIES[:6])))
    side = int(scale * rng.uniform(0.5, 0.85))
    inset = (scale - side) // 2
    for number, (row, col) in enumerate(np.argwhere(white)):
        marker = number % len(dictionary.bytesList)
        dark = 255 - cv2.aruco.generateImageMarker(dictionary, marker, dictionary.markerSize + 2)
        dark = cv2.resize(dark, (side, side), interpolation=cv2.INTER_AREA)
        top, left = row * scale + inset, col * scale + inset
        mask[top : top + side, left : left + side] = dark


def _qr_modules(rng: Rng) -> np.ndarray:
    version = int(rng.integers(1, 11))
    text = "".join(rng.choice(list(_PAYLOAD), int(rng.integers(1, _QR_CAPACITY_H[version - 1] + 1))))
    if chance(rng, 0.15):
        modules = cv2.QRCodeEncoder.create().encode(text) == 0
        rows, cols = np.flatnonzero(modules.any(axis=1)), np.flatnonzero(modules.any(axis=0))
        return modules[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
    # A fixed mask skips segno's search for the best of eight, which takes most of its time.
    error, pattern = str(rng.choice(list("LMQH"))), int(rng.integers(8))
    code = segno.make_qr(text, version=version, error=error, mask=pattern, boost_error=False)
    return np.array(code.matrix, dtype=bool)


def _barcode_modules(rng: Rng, kind: str) -> str:
    digits = {"ean13": 12, "ean8": 7, "upca": 11, "itf": 2 * int(rng.integers(2, 8))}.get(kind)
    if digits:
        text = "".join(rng.choice(list("0123456789"), digits))
    else:
        text = "".join(rng.choice(list(_CODE39), int(rng.integers(3, 14))))
    options = {"add_checksum": False} if kind == "code39" else {}
    return barcode.get_barcode_class(kind)(text, **options).build()[0].replace("G", "1")


def _inks(rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """Ink and paper: mostly black on white, else tinted or faint."""
    kind = rng.random()
    if kind < 0.55:
        return color(rng, 0, 45, 0.1), color(rng, 215, 255, 0.04)
    if kind < 0.85:
        return color(rng, 10, 75, 0.8), color(rng, 150, 255, 0.3)
    return color(rng, 50, 110, 0.4), color(rng, 160, 230, 0.2)


def _scale(count: int) -> int:
    return max(_LONG_SIDE // count, 4)


def _enlarge(dark: np.ndarray, scale: int) -> np.ndarray:
    size = (dark.shape[1] * scale, dark.shape[0] * scale)
    return cv2.resize(dark.astype(np.uint8) * 255, size, interpolation=cv2.INTER_NEAREST)


def _rounded(mask: np.ndarray, scale: int) -> np.ndarray:
    # Blur and threshold join neighbours and round corners.
    soft = cv2.GaussianBlur(mask, (0, 0), scale * 0.25)
    return cv2.threshold(soft, 120, 255, cv2.THRESH_BINARY)[1]


def _dotted(mask: np.ndarray, scale: int, count: int) -> np.ndarray:
    offset = np.arange(scale) - (scale - 1) / 2
    disc = np.add.outer(offset**2, offset**2) <= (0.48 * scale) ** 2
    dots = np.tile(disc.astype(np.uint8) * 255, (count, count)) & mask
    eye = 7 * scale
    for corner in (np.s_[:eye, :eye], np.s_[:eye, -eye:], np.s_[-eye:, :eye]):
        dots[corner] = mask[corner]
    return dots


def _stamp_logo(rng: Rng, image: Image, paper: np.ndarray) -> None:
    side = len(image)
    centre = (side // 2, side // 2)
    radius = int(side * rng.uniform(0.07, 0.13))
    cv2.circle(image, centre, radius, paper.tolist(), -1)
    for share, tone in ((0.8, color(rng, 40, 200, 1)), (rng.uniform(0.2, 0.6), color(rng, 120, 255, 1))):
        cv2.circle(image, centre, int(radius * share), tone.tolist(), -1, cv2.LINE_AA)


def _finish(
    rng: Rng,
    image: Image,
    label: int,
    modules: tuple[int, int],
    scale: int,
    paper: np.ndarray,
    quiet: tuple[float, float],
) -> Symbol:
    """Add a quiet zone, `quiet` (least, most) modules wide, around the drawing, and outline the symbol."""
    left = int(rng.uniform(*quiet) * scale)
    top = int(rng.uniform(*quiet) * scale) if label == BARCODE else left
    framed = cv2.copyMakeBorder(image, top, top, left, left, cv2.BORDER_CONSTANT, value=paper.tolist())
    # Only the drawing of a barcode is larger than the symbol, because of the digits below its bars.
    right, bottom = left + modules[0] * scale, top + modules[1] * scale
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)
    return Symbol(framed, Mark(label, corners, modules), paper)
