"""Reading images: every kind that OpenCV writes becomes upright 8-bit BGR, every truncated one an error."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from detforge.deploy.errors import DetforgeError, InputError
from detforge.deploy.image import decode_image, read_image, write_image

SMOOTH = cv2.resize(
    np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8), (80, 60), interpolation=cv2.INTER_LINEAR
)
LOSSLESS = (".png", ".bmp", ".tiff", ".ppm", ".ras")
LOSSY = (".jpg", ".webp", ".gif")


def encode(suffix: str, image: np.ndarray = SMOOTH, *options: int) -> bytes:
    done, data = cv2.imencode(suffix, image, options)
    assert done
    return data.tobytes()


def png_header(width: int, height: int) -> bytes:
    """A PNG that announces a size and holds next to nothing."""
    chunks = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 99)), (b"IEND", b"")):
        chunks += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return chunks


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_lossless_formats_keep_every_pixel(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"日本 é{suffix}"
    path.write_bytes(encode(suffix))
    np.testing.assert_array_equal(read_image(path), SMOOTH)


@pytest.mark.parametrize("suffix", LOSSY)
def test_lossy_formats_come_close(suffix: str) -> None:
    difference = np.abs(decode_image(encode(suffix), "x").astype(int) - SMOOTH)
    assert difference.mean() < 20  # of a GIF's 256 colours; others come closer


def test_grey_alpha_and_16_bit_become_8_bit_bgr() -> None:
    grey = SMOOTH[:, :, 0]
    np.testing.assert_array_equal(decode_image(encode(".png", grey), "x"), np.dstack([grey] * 3))
    alpha = np.dstack([SMOOTH, np.zeros_like(grey)])
    np.testing.assert_array_equal(decode_image(encode(".png", alpha), "x"), SMOOTH)
    deep = SMOOTH.astype(np.uint16) * 256 + 255
    np.testing.assert_array_equal(decode_image(encode(".png", deep), "x"), SMOOTH)


# EXIF orientation: how the stored pixels are turned to stand upright.
@pytest.mark.parametrize(
    ("orientation", "turns", "mirrored"),
    [(1, 0, False), (3, 2, False), (6, 3, False), (8, 1, False), (2, 0, True)],
)
def test_exif_rotation_is_applied(orientation: int, turns: int, mirrored: bool) -> None:
    jpeg = encode(".jpg")
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    segment = b"Exif\0\0" + tiff
    turned = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]
    expected = np.rot90(decode_image(jpeg, "x"), turns)
    np.testing.assert_array_equal(decode_image(turned, "x"), expected[:, ::-1] if mirrored else expected)


@pytest.mark.parametrize("size", [(1, 1), (9000, 12000), (1, 20000)])
def test_any_size(size: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encode(".jpg", np.zeros((*size, 3), np.uint8)))
    assert read_image(path).shape == (*size, 3)


@pytest.mark.parametrize(
    ("suffix", "options"),
    [(suffix, ()) for suffix in (*LOSSLESS, *LOSSY, ".pgm", ".pbm", ".hdr", ".jp2", ".avif")]
    + [
        (".jpg", (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)),
        (".jpg", (cv2.IMWRITE_JPEG_RST_INTERVAL, 2)),
        (".webp", (cv2.IMWRITE_WEBP_QUALITY, 80)),
        (".tiff", (cv2.IMWRITE_TIFF_COMPRESSION, 1, cv2.IMWRITE_TIFF_ROWSPERSTRIP, 8)),
        (".tiff", (cv2.IMWRITE_TIFF_COMPRESSION, 7, cv2.IMWRITE_TIFF_ROWSPERSTRIP, 8)),
    ],
)
def test_every_truncation_is_an_error(suffix: str, options: tuple[int, ...]) -> None:
    image = SMOOTH[:, :, 0] if suffix in (".pgm", ".pbm") else SMOOTH
    data = encode(suffix, image.astype(np.float32) / 255 if suffix == ".hdr" else image, *options)
    decode_image(data, "whole")
    starts, middle = range(64), np.linspace(64, len(data) - 20, 40).astype(int).tolist()
    for length in [*starts, *middle, *range(len(data) - 20, len(data))]:
        with pytest.raises(InputError, match="cut"):
            decode_image(data[:length], "cut")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 5000,
        b"not an image at all, but long enough to look at",
        b"BM" + b"\xff" * 200,
        b"\xff\xd8\xff\xe0" + b"x" * 200,
        png_header(100_000, 100_000),
        png_header(2_000_000, 1),
        png_header(0, 5),
        png_header(5000, 5000),
    ],
)
def test_what_is_no_image_is_an_error(data: bytes) -> None:
    with pytest.raises(InputError, match=r"^name: ") as caught:
        decode_image(data, "name")
    assert "\n" not in str(caught.value)


def test_missing_files_and_folders_are_errors(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jpg", tmp_path, tmp_path / "a\0b.jpg", "x" * 5000):
        with pytest.raises(InputError):
            read_image(path)


def test_write_image_reads_back_and_fails_whole(tmp_path: Path) -> None:
    write_image(tmp_path / "new" / "ü.png", SMOOTH)
    np.testing.assert_array_equal(read_image(tmp_path / "new" / "ü.png"), SMOOTH)
    for name, image in (("a.webp", np.zeros((2, 20_000, 3), np.uint8)), ("a.nope", SMOOTH)):
        with pytest.raises(DetforgeError, match="cannot be written"):
            write_image(tmp_path / name, image)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
