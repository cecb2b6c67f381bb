"""Still pictures: known by their content, every page a picture of its own, what nothing reads refused by name."""

import io
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from picture_server import serving

from detforge.deploy.inputs.image import decode_image, decode_pages
from detforge.deploy.inputs.jpeg_end import without_end
from detforge.deploy.inputs.kinds import format_of, kind_of, kind_of_file
from detforge.deploy.inputs.sources import pictures
from detforge.deploy.system.errors import InputError

COLORS = ((0, 0, 255), (0, 255, 0), (255, 0, 0), (255, 255, 255))
"""Red, green, blue and white in BGR."""
FOUR_TILES = Path(__file__).parent / "pictures" / "four_tiles.heic"
"""As telephones write it: 128 px of four tiles, one of each colour."""


def plain(color: tuple[int, int, int], size: tuple[int, int] = (32, 48)) -> np.ndarray:
    return np.full((*size, 3), color, np.uint8)


def colors_of(images: Iterator[np.ndarray] | list[np.ndarray]) -> list[tuple[int, ...]]:
    """The mean of each image, rounded to the nearest of 0 and 255, which lossy formats keep."""
    return [tuple(255 * round(value / 255) for value in image.reshape(-1, 3).mean(0)) for image in images]


def animated(suffix: str) -> bytes:
    frames = [plain(color) for color in COLORS]
    if suffix == ".tiff":
        done, data = cv2.imencodemulti(suffix, frames)
    else:
        animation = cv2.Animation()
        animation.frames, animation.durations = frames, np.full(len(frames), 100, np.int32)
        done, data = cv2.imencodeanimation(suffix, animation)
    assert done
    return data.tobytes()


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".tiff", ".avif"])
def test_every_page_is_a_picture_with_its_number(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(animated(suffix))
    found = list(pictures(str(path)))
    assert [(each.name, each.index, each.is_frame) for each in found] == [(path.name, i, False) for i in range(4)]
    assert colors_of([each.image for each in found]) == list(COLORS)
    assert colors_of([decode_image(path.read_bytes(), "a")]) == [COLORS[0]]


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".tiff", ".avif"])
def test_a_truncated_animation_is_an_error(suffix: str) -> None:
    data = animated(suffix)
    with pytest.raises(InputError, match=r"^a: "):
        list(decode_pages(data[: int(len(data) * 0.9)], "a"))


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".tiff", ".avif", ".jpg", ".bmp"])
def test_one_page_has_no_number(suffix: str, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / f"a{suffix}"), plain(COLORS[0]))
    (picture,) = pictures(str(tmp_path / f"a{suffix}"))
    assert (picture.index, picture.is_frame) == (None, False)


def test_a_telephones_tiles_are_one_picture() -> None:
    pytest.importorskip("pillow_heif", reason="the extra heif is not installed")
    (image,) = decode_pages(FOUR_TILES.read_bytes(), "a")
    assert image.shape == (128, 128, 3)
    tiles = [image[y : y + 64, x : x + 64] for y in (0, 64) for x in (0, 64)]
    assert colors_of(tiles) == list(COLORS)


def test_pages_of_a_heic() -> None:
    heif = pytest.importorskip("pillow_heif", reason="the extra heif is not installed")
    pages = heif.HeifFile()
    for color in COLORS:
        pages.add_frombytes("RGB", (64, 64), plain(color[::-1], (64, 64)).tobytes())
    pages.save(file := io.BytesIO(), quality=90)
    assert colors_of(decode_pages(file.getvalue(), "a")) == list(COLORS)
    with pytest.raises(InputError, match=r"^a: HEIC that cannot be decoded"):
        list(decode_pages(file.getvalue()[:-300], "a"))


# EXIF orientation, and how the stored pixels are turned to stand upright.
@pytest.mark.parametrize(("orientation", "turns", "mirrored"), [(2, 0, 1), (3, 2, 0), (5, 3, 1), (6, 3, 0), (8, 1, 0)])
def test_an_avif_is_turned_as_it_says(orientation: int, turns: int, mirrored: int) -> None:
    pillow = pytest.importorskip("PIL.Image", reason="the extra heif is not installed")
    pytest.importorskip("pillow_heif", reason="the extra heif is not installed")
    stored = np.hstack([plain(COLORS[0]), plain(COLORS[1]), plain(COLORS[2])])
    stored[:16, :48] = COLORS[3]
    exif = pillow.Exif()
    exif[0x0112] = orientation
    pillow.fromarray(stored[..., ::-1]).save(file := io.BytesIO(), "AVIF", quality=95, exif=exif)
    expected = np.rot90(stored, turns)
    expected = expected[:, ::-1] if mirrored else expected
    (image,) = decode_pages(file.getvalue(), "a")
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).mean() < 8


def test_without_the_extra_a_heic_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(InputError, match=r"^a\.heic: a HEIC picture needs the package pillow-heif; pip install"):
        list(decode_pages(FOUR_TILES.read_bytes(), "a.heic"))


NOISE = np.random.default_rng(0).integers(0, 256, (61, 83, 3), np.uint8)
JPEGS = [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 2), (cv2.IMWRITE_JPEG_QUALITY, 20)]


@pytest.mark.parametrize("options", JPEGS)
@pytest.mark.parametrize("lacking", [1, 2])
def test_a_jpeg_without_its_end_marker_is_read_and_that_is_said(lacking: int, options: tuple[int, ...]) -> None:
    data = cv2.imencode(".jpg", NOISE, options)[1].tobytes()
    with pytest.warns(UserWarning, match=r"^a: a JPEG without its end marker") as said:
        image = decode_image(data[:-lacking], "a")
    assert len(said) == 1
    np.testing.assert_array_equal(image, decode_image(data, "a"))


def test_a_jpeg_that_lacks_a_whole_scan_is_no_picture() -> None:
    data = cv2.imencode(".jpg", NOISE, (cv2.IMWRITE_JPEG_PROGRESSIVE, 1))[1].tobytes()
    assert without_end(data) is None and without_end(data[:-2]) == data[:-2]
    scans = [at for at in range(len(data)) if data[at : at + 2] == b"\xff\xda"]
    for scan in scans:
        with pytest.raises(InputError):
            decode_image(data[:scan], "a")


def raw_of_a_camera(order: str) -> bytes:
    """A TIFF whose first page says that it is a smaller copy."""
    data = bytearray(cv2.imencode(".tiff", plain(COLORS[0]))[1].tobytes())
    assert data[:2] == b"II"
    (start,) = struct.unpack("<I", data[4:8])
    (count,) = struct.unpack("<H", data[start : start + 2])
    entries = [struct.unpack("<HHII", data[at : at + 12]) for at in range(start + 2, start + 2 + 12 * count, 12)]
    entries = [(254, 4, 1, 1), *(entry for entry in entries if entry[0] != 254)]
    packed = struct.pack(f"{order}H", len(entries)) + b"".join(struct.pack(f"{order}HHII", *each) for each in entries)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", len(data))
    return head + bytes(data[8:]) + packed + bytes(4)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_cameras_raw_picture_is_refused(order: str) -> None:
    with pytest.raises(InputError, match=r"^a: a camera's raw picture"):
        decode_image(raw_of_a_camera(order), "a")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\xff\x0a" + b"\0" * 90, "JPEG XL"),
        (b"8BPS\0\1" + b"\0" * 90, "Photoshop"),
        (b"v/1\x01" + b"\0" * 90, "OpenEXR"),
    ],
)
def test_formats_that_nothing_reads_are_named(data: bytes, kind: str) -> None:
    assert kind_of(data) == "picture"
    with pytest.raises(InputError, match=f"^a: {kind}, a format that is not read here"):
        decode_image(data, "a")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".gif", ".webp", ".bmp", ".tiff", ".jp2", ".ppm", ".ras", ".avif"])
def test_a_picture_is_one_whatever_its_name(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(cv2.imencode(suffix, plain(COLORS[0]))[1].tobytes())
    assert kind_of_file(path) == "picture"
    (picture,) = pictures(str(path))
    assert colors_of([picture.image]) == [COLORS[0]]


@pytest.mark.parametrize(("suffix", "codec"), [("avi", "MJPG"), ("mp4", "mp4v"), ("mkv", "mp4v"), ("webm", "VP80")])
def test_a_video_is_one_whatever_its_name(suffix: str, codec: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 10, (64, 48))
    for _ in range(3):
        writer.write(plain(COLORS[0], (48, 64)))
    writer.release()
    path = path.rename(tmp_path / "photo.jpg")
    assert kind_of_file(path) == "video" and format_of(path.read_bytes()) is None
    assert [picture.index for picture in pictures(str(path))] == [0, 1, 2]


@pytest.mark.parametrize(
    "head",
    [
        "00000001 6764000d",  # H.264
        "000001 67428016",
        "00000001 0910",  # with a delimiter first
        "00000001 40010c01",  # HEVC
        "000001b0 01000001b5",  # MPEG-4
        "000001b3 140f0f23",  # MPEG-2
        "1f0700bf",  # DV
    ],
)
def test_streams_without_a_container_are_videos(head: str) -> None:
    assert kind_of(bytes.fromhex(head)) == "video"


@pytest.mark.parametrize("head", ["00000100 01002020", "00010000 0013", "00000002 0000", "00000001 0000"])
def test_other_files_that_begin_with_zeros_are_none(head: str) -> None:
    assert kind_of(bytes.fromhex(head)) is None


def test_one_jpeg_after_another_is_a_video(tmp_path: Path) -> None:
    jpegs = [cv2.imencode(".jpg", plain(color))[1].tobytes() for color in COLORS[:2]]
    (tmp_path / "a.mjpeg").write_bytes(b"".join(jpegs))
    assert colors_of([picture.image for picture in pictures(str(tmp_path / "a.mjpeg"))]) == list(COLORS[:2])


TEXTS = ["a plain text", "ffconcat version 1.0\nfile x.mp4", "#EXTM3U\nhttp://host/x.ts", "\u2588\u2593 art", ""]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("name", ["a.nfo", "a.ffconcat", "a.mp4", "a.txt"])
def test_texts_are_no_videos(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=r"not an image|empty"):
        list(pictures(str(tmp_path / name)))


@pytest.mark.parametrize("secret", ["?key=secret", "user:pass word@"])
def test_a_picture_by_address(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    before, after = ("", secret) if secret.startswith("?") else (secret, "")
    with serving(animated(".gif")) as host:
        found = list(pictures(f"http://{before}{host}/deep/snapshot{after}"))
    assert [(each.name, each.path, each.index) for each in found] == [
        (f"{host}/deep/snapshot",) * 2 + (i,) for i in range(4)
    ]
    assert colors_of([each.image for each in found]) == list(COLORS)


def test_secrets_of_an_address_are_not_told() -> None:
    with pytest.raises(InputError) as caught:
        list(pictures("rtsp://user:word@127.0.0.1:1/live?token=abc#x"))
    assert "127.0.0.1:1/live" in str(caught.value)
    assert not [secret for secret in ("word", "abc", "user") if secret in str(caught.value)]
