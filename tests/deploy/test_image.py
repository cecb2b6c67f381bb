"""Reading images: every kind that OpenCV writes becomes upright 8-bit BGR, every truncated one an error."""

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from detforge.deploy.inputs import image
from detforge.deploy.inputs.image import decode_image, read_image, write_image
from detforge.deploy.system.errors import DetforgeError, InputError

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


def with_exif(jpeg: bytes, orientation: int, order: str = "<") -> bytes:
    """The JPEG with a camera's note of how it was held."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    tiff = mark + struct.pack(f"{order}IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    segment = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]


# EXIF orientation: how the stored pixels are turned to stand upright.
@pytest.mark.parametrize(
    ("orientation", "turns", "mirrored"),
    [(1, 0, False), (3, 2, False), (6, 3, False), (8, 1, False), (2, 0, True)],
)
def test_exif_rotation_is_applied(orientation: int, turns: int, mirrored: bool) -> None:
    jpeg = encode(".jpg")
    expected = np.rot90(decode_image(jpeg, "x"), turns)
    expected = expected[:, ::-1] if mirrored else expected
    for order in "<>":
        np.testing.assert_array_equal(decode_image(with_exif(jpeg, orientation, order), "x"), expected)


JPEG_OPTIONS = [
    (),
    (cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    (cv2.IMWRITE_JPEG_QUALITY, 30),
    (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
    (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411),
]


@pytest.mark.parametrize("options", JPEG_OPTIONS)
@pytest.mark.parametrize("size", [(1, 1), (7, 33), (60, 80)])
def test_the_fast_decoder_gives_the_bytes_of_opencv(size: tuple[int, int], options: tuple[int, ...]) -> None:
    pytest.importorskip("simplejpeg", reason="the extra jpeg is not installed")
    picture = np.random.default_rng(size[1]).integers(0, 256, (*size, 3), np.uint8)
    for pixels in (picture, picture[:, :, 0]):
        data = encode(".jpg", pixels, *options)
        expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        pixels, full_size = image._plain_jpeg(data, "a")
        np.testing.assert_array_equal(pixels, expected)
        assert full_size == size


class StandIn:
    """Has the shape of the module simplejpeg, and an answer that OpenCV never gives."""

    def __init__(self, colors: str = "YCbCr", width: int = 80) -> None:
        self.header = (60, width, colors, "420")

    def decode_jpeg_header(self, data: bytes) -> tuple[int, int, str, str]:
        return self.header

    def decode_jpeg(self, data: bytes, colorspace: str, min_height: int, min_width: int, min_factor: int) -> np.ndarray:
        assert colorspace == "BGR"
        if len(data) < 100:
            raise ValueError("Premature end of JPEG file")
        assert (min_height, min_width) == (-(-60 // min_factor), -(-80 // min_factor))
        return np.full((min_height, min_width, 3), 77, np.uint8)


@pytest.mark.parametrize(
    ("data", "decoder", "is_fast"),
    [
        (encode(".jpg"), StandIn(), True),
        (with_exif(encode(".jpg"), 1), StandIn("Gray"), True),
        (with_exif(encode(".jpg"), 1, ">"), StandIn(), True),
        (with_exif(encode(".jpg"), 6), StandIn(), False),
        (with_exif(encode(".jpg"), 8, ">"), StandIn(), False),
        (encode(".png"), StandIn(), False),
        (encode(".jpg"), StandIn("CMYK"), False),
        (encode(".jpg"), StandIn(width=1 << 30), False),
        (encode(".jpg"), None, False),
    ],
)
def test_the_fast_decoder_gets_what_is_plain(
    data: bytes, decoder: StandIn | None, is_fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image, "_jpeg_decoder", lambda: decoder)
    assert (decode_image(data, "x") == 77).all() == is_fast


@pytest.mark.parametrize(
    ("needed", "size"),
    [((60, 80), (60, 80)), ((30, 41), (60, 80)), ((30, 40), (30, 40)), ((15, 20), (15, 20)), ((1, 1), (8, 10))],
)
def test_a_jpeg_is_reduced_to_what_is_needed_at_least(
    needed: tuple[int, int], size: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image, "_jpeg_decoder", StandIn)
    (tmp_path / "a.jpg").write_bytes(encode(".jpg"))
    asked = []
    pixels, full_size = image.read_reduced(tmp_path / "a.jpg", lambda own: asked.append(own) or needed)
    assert (pixels.shape, full_size, asked) == ((*size, 3), (60, 80), [(60, 80)])


def test_reduced_pixels_are_means_of_the_others(tmp_path: Path) -> None:
    pytest.importorskip("simplejpeg", reason="the extra jpeg is not installed")
    write_image(tmp_path / "a.jpg", SMOOTH)
    pixels, full_size = image.read_reduced(tmp_path / "a.jpg", lambda _: (30, 40))
    means = cv2.resize(read_image(tmp_path / "a.jpg"), (40, 30), interpolation=cv2.INTER_AREA)
    assert full_size == (60, 80)
    assert np.abs(pixels - means.astype(int)).mean() <= 2


def test_other_files_are_not_reduced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "_jpeg_decoder", StandIn)
    (tmp_path / "a.png").write_bytes(encode(".png"))
    pixels, full_size = image.read_reduced(tmp_path / "a.png", lambda _: (1, 1))
    np.testing.assert_array_equal(pixels, SMOOTH)
    assert full_size == (60, 80)


def test_what_the_fast_decoder_refuses_is_an_error_of_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "_jpeg_decoder", StandIn)
    with pytest.raises(InputError, match="truncated"):
        decode_image(encode(".jpg")[:90], "x")


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
    end = len(data) - 2 if suffix == ".jpg" else len(data)  # a JPEG does without the marker at its end
    for length in [*starts, *middle, *range(len(data) - 20, end)]:
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
    for name, picture in (("a.webp", np.zeros((2, 20_000, 3), np.uint8)), ("a.nope", SMOOTH)):
        with pytest.raises(DetforgeError, match="cannot be written"):
            write_image(tmp_path / name, picture)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_a_grey_pfm_has_three_channels() -> None:
    grey = np.linspace(0, 1, 12, dtype="<f4").reshape(3, 4)
    image = decode_image(b"Pf\n4 3\n-1.0\n" + grey[::-1].tobytes(), "a.pfm")
    assert image.shape == (3, 4, 3) and image.dtype == np.uint8


@pytest.mark.parametrize("fill", [b"\0", b"\x55", b"\xaa", b"\xfe"])
def test_a_corrupt_jpeg_is_said_to_be(fill: bytes) -> None:
    pytest.importorskip("simplejpeg", reason="without simplejpeg nothing tells of a corrupt JPEG")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = bytearray(cv2.imencode(".jpg", noise)[1].tobytes())
    middle = len(data) // 2
    data[middle : middle + 40] = fill * 40
    with pytest.warns(UserWarning, match=r"^a\.jpg: a corrupt JPEG; parts of the picture may be wrong"):
        assert decode_image(bytes(data), "a.jpg").shape == (64, 64, 3)


def test_a_jpeg_that_is_filled_up_is_none() -> None:
    data = cv2.imencode(".jpg", np.full((64, 64, 3), 77, np.uint8))[1].tobytes()
    filled = data[:-2] + bytes(100) + data[-2:]
    assert np.array_equal(decode_image(filled, "a.jpg"), decode_image(data, "a.jpg"))


@pytest.mark.parametrize("mode", ["L", "LA", "RGB"])
def test_jpeg_2000_without_a_container(mode: str) -> None:
    pillow = pytest.importorskip("PIL.Image", reason="pillow is not installed")
    picture = pillow.fromarray(np.arange(64 * 48, dtype=np.uint8).reshape(48, 64)).convert(mode)
    file = io.BytesIO()
    picture.save(file, "JPEG2000", no_jp2=True)
    data = file.getvalue()
    assert np.array_equal(decode_image(data, "a")[..., ::-1], np.asarray(picture.convert("RGB")))
    with pytest.raises(InputError, match=r"^a: JPEG 2000 that cannot be decoded"):
        decode_image(data[: len(data) // 2], "a")
