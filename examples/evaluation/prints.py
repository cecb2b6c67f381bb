"""Prints: symbols on slips, labels, sheets and posters."""

import cv2
import numpy as np
import zxingcpp
from PIL import Image, ImageDraw, ImageFont

WORDS = "handle with care hinges brass keep dry museum of tools fragile this side up return to shelf net 2 kg".split()


def symbol(rng, label, folder):
    """A symbol in black on white without quiet zone, and its outline x0, y0, x1, y1 in that image."""
    if label == "chessboard":
        cols, rows = sorted(rng.choice(np.arange(4, 11), 2, replace=False))[:: rng.choice([-1, 1])]
        squares = np.add.outer(np.arange(rows), np.arange(cols)) % 2
        image = np.kron(squares, np.ones((60, 60))).astype(np.uint8) * 255
        return image, (0, 0, image.shape[1], image.shape[0])
    if label == "qr_code" and rng.random() < 0.5:
        text = " ".join(rng.choice(WORDS, int(rng.integers(2, 9))))
        code = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode)
        image = np.array(code.to_image(scale=8, add_quiet_zones=False))
    else:
        files = sorted(folder.glob(f"{label}_*"))
        image = cv2.imread(str(files[rng.integers(len(files))]), cv2.IMREAD_GRAYSCALE)
        if label == "aruco":
            image = np.kron(image > 0, np.ones((40, 40))).astype(np.uint8) * 255
    ink = image < 128
    rows, cols = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    image = image[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
    if label != "barcode":
        return image, (0, 0, image.shape[1], image.shape[0])
    # Digits may be below the bars and next to them, so the outline follows the first bar.
    bars = np.flatnonzero(image[len(image) * 3 // 10] < 128)
    end = int(np.argmax(image[:, bars[0] + 1] >= 128)) or len(image)
    return image, (int(bars[0]), 0, int(bars[-1]) + 1, end)


def slip(rng, label, folder, quiet=None):
    """One symbol on its paper: the image and [(label, outline)]."""
    drawing, (x0, y0, x1, y1) = symbol(rng, label, folder)
    unit = {"qr_code": 8 * 4, "barcode": 50, "aruco": 40, "chessboard": 30}[label]
    pad = int(unit * (quiet or rng.uniform(1, 2)))
    image = np.pad(drawing, pad, constant_values=255)
    ink = np.array(rng.choice([0, 0, 0, 40, 70]) + rng.integers(0, 30, 3))
    paper = np.array([rng.integers(225, 256), rng.integers(225, 256), rng.integers(205, 256)])
    share = image[..., None] / 255
    image = (ink * (1 - share) + paper * share).astype(np.uint8)
    return image, [(label, (x0 + pad, y0 + pad, x1 + pad, y1 + pad))]


def write(image, xy, size, text, fill=(30, 30, 30)):
    canvas = Image.fromarray(image)
    ImageDraw.Draw(canvas).text(xy, text, fill, font=ImageFont.load_default(size))
    image[:] = np.asarray(canvas)


def label_sheet(rng, folder, wanted=("barcode", "qr_code")):
    """A parcel label: a heading, lines of text, and the wanted symbols."""
    width = 900
    parts, marks = [np.full((190, width, 3), 245, np.uint8)], []
    write(parts[0], (30, 20), 72, " ".join(rng.choice(WORDS, 2)).upper())
    write(parts[0], (30, 120), 40, " ".join(rng.choice(WORDS, 6)))
    for kind in wanted:
        image, ((_, box),) = slip(rng, kind, folder, 1.2)
        scale = (840 if kind == "barcode" else 400) / image.shape[1]
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        strip = np.full((len(image) + 20, width, 3), 245, np.uint8)
        strip[:] = image[0, 0]
        left = 30
        strip[10 : 10 + len(image), left : left + image.shape[1]] = image
        if kind != "barcode":
            for line in range(5):
                write(strip, (470, 40 + 66 * line), 44, " ".join(rng.choice(WORDS, 3)))
        top = sum(map(len, parts)) + 10
        x0, y0, x1, y1 = (value * scale for value in box)
        marks.append((kind, (x0 + left, y0 + top, x1 + left, y1 + top)))
        parts.append(strip)
    sheet = np.vstack(parts)
    cv2.rectangle(sheet, (8, 8), (width - 9, len(sheet) - 9), (40, 40, 40), 5)
    return sheet, marks


def text_sheet(rng, stripes=False):
    """A page of text or a striped cloth, without a symbol."""
    page = np.full((1100, 800, 3), 240, np.uint8)
    if stripes:
        edges = np.cumsum(rng.integers(6, 60, 60))
        page[:] = np.where(np.searchsorted(edges, np.arange(800)) % 2, 235, 40)[None, :, None]
        return page, []
    for line in range(26):
        write(page, (60, 60 + 38 * line), 30, " ".join(rng.choice(WORDS, 9 if line % 7 else 3)))
    return page, []


def poster(rng, photograph, folder, label="qr_code"):
    """A photograph with a symbol on a white tab in its corner."""
    image = cv2.cvtColor(cv2.imread(str(photograph)), cv2.COLOR_BGR2RGB)
    spare = max(len(image) - image.shape[1] * 3 // 4, 0) // 2
    image = cv2.resize(image[spare : len(image) - spare], (1200, 900), interpolation=cv2.INTER_AREA)
    tab, ((_, box),) = slip(rng, label, folder, 1)
    scale = 330 / tab.shape[1]
    tab = cv2.resize(tab, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    top, left = len(image) - len(tab) - 40, 1200 - 330 - 40
    image[top : top + len(tab), left : left + 330] = tab
    x0, y0, x1, y1 = (value * scale for value in box)
    return image, [(label, (x0 + left, y0 + top, x1 + left, y1 + top))]
