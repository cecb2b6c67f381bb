"""Sources: which pictures they hold, in which order, and what is broken in them."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest

from detforge.deploy.inputs import video
from detforge.deploy.inputs.listing import Found, find_items, is_live
from detforge.deploy.inputs.sources import pictures
from detforge.deploy.system.errors import InputError


def write_video(path: Path, frames: int, codec: str = "MJPG", size: tuple[int, int] = (64, 48)) -> Path:
    """A video whose frame i is noise around the grey 8 i."""
    noise = np.random.default_rng(0).integers(0, 16, (frames, size[1], size[0], 3), np.uint8)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 10, size)
    for i in range(frames):
        writer.write(noise[i] + np.uint8(8 * i))
    writer.release()
    return path


def write_images(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        cv2.imwrite(str(folder / name), np.zeros((4, 5, 3), np.uint8))


def names(found: Found) -> list[str]:
    return [item.name for item in found.items]


def test_a_folder_gives_its_images_and_videos_in_natural_order(tmp_path: Path) -> None:
    write_images(tmp_path, "img10.png", "img2.JPG", "img1.png", ".hidden.png")
    write_video(tmp_path / "img3.avi", 1)
    (tmp_path / "notes.txt").write_text("not a picture")
    write_images(tmp_path / "deeper", "no.png")
    assert names(find_items(str(tmp_path))) == ["img1.png", "img2.JPG", "img3.avi", "img10.png"]


def test_a_glob_and_a_name_that_looks_like_one(tmp_path: Path) -> None:
    write_images(tmp_path, "a1.png", "a[1].png", "b.png")
    assert names(find_items(str(tmp_path / "a*.png"))) == ["a1.png", "a[1].png"]
    assert names(find_items(str(tmp_path / "a[1].png"))) == ["a[1].png"]


@pytest.mark.parametrize("source", ["nothing.jpg", "no*.png", "empty"])
def test_nothing_there_is_an_error(source: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"; .*"):
        find_items(str(tmp_path / source))


def test_a_number_is_a_camera_unless_a_file_has_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_live("0") and is_live("rtsp://host/x")
    write_images(tmp_path, "0.png")
    (tmp_path / "0.png").rename(tmp_path / "0")
    assert not is_live("0")
    assert [picture.image.shape for picture in pictures("0")] == [(4, 5, 3)]


def test_what_a_file_is_shows_without_a_suffix(tmp_path: Path) -> None:
    write_images(tmp_path, "a.png")
    (tmp_path / "a.png").rename(tmp_path / "image")
    write_video(tmp_path / "a.avi", 3).rename(tmp_path / "clip")
    assert [picture.index for picture in pictures(str(tmp_path / "image"))] == [None]
    assert [picture.index for picture in pictures(str(tmp_path / "clip"))] == [0, 1, 2]


@pytest.mark.parametrize(("suffix", "codec"), [("avi", "MJPG"), ("mp4", "mp4v"), ("mkv", "mp4v"), ("webm", "VP80")])
def test_a_video_gives_its_frames_in_order(suffix: str, codec: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / f"a.{suffix}", 12, codec)
    found = list(pictures(str(path)))
    assert [(picture.index, picture.fps) for picture in found] == [(i, 10.0) for i in range(12)]
    for i, picture in enumerate(found):
        assert abs(picture.image.mean() - 8 * i - 7.5) < 4


def test_frames_are_read_one_at_a_time(tmp_path: Path) -> None:
    stream = pictures(str(write_video(tmp_path / "a.avi", 12)))
    assert next(stream).index == 0
    stream.close()  # with eleven frames unread; a warning would be an error


@pytest.mark.parametrize("part", [0.0, 0.02, 0.3, 0.6, 0.8])
@pytest.mark.parametrize(("suffix", "codec"), [("avi", "MJPG"), ("mp4", "mp4v"), ("mkv", "mp4v")])
def test_a_truncated_video_gives_what_is_readable_then_an_error(
    suffix: str, codec: str, part: float, tmp_path: Path
) -> None:
    path = write_video(tmp_path / f"a.{suffix}", 30, codec)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    read: list[int | None] = []
    with pytest.raises(InputError, match=r"a\.(avi|mp4|mkv): "):
        read.extend(picture.index for picture in pictures(str(path)))
    assert read == list(range(len(read))) and len(read) < 30
    assert read or suffix == "mp4" or part < 0.5  # an MP4's index is at its end


def test_a_text_with_a_videos_suffix_and_a_silent_address_are_errors(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("not a video")
    for source in (str(tmp_path / "a.mp4"), "rtsp://127.0.0.1:1/none"):
        with pytest.raises(InputError, match=r"not an image or video|does not answer"):
            list(pictures(source))


def test_stdin_is_one_image(monkeypatch: pytest.MonkeyPatch) -> None:
    data = cv2.imencode(".png", np.full((2, 3, 3), 7, np.uint8))[1].tobytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    (picture,) = pictures("-")
    assert (picture.name, picture.image.shape, picture.image.max()) == ("stdin", (2, 3, 3), 7)


class Rates:
    """A capture of 40 frames, 1 s of them at 10 a second and 1 s at 30, which says the mean rate."""

    def __init__(self, announced: int, fps: float = 18.75) -> None:
        self._times = [*np.arange(0, 1, 0.1), *np.arange(1, 2, 1 / 30)]
        self._said = {cv2.CAP_PROP_FPS: fps, cv2.CAP_PROP_FRAME_COUNT: announced}
        self._next = 0

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def get(self, name: int) -> float:
        return 1e3 * self._times[self._next - 1] if name == cv2.CAP_PROP_POS_MSEC else self._said[name]

    def read(self) -> tuple[bool, np.ndarray]:
        self._next += 1
        return self._next <= len(self._times), np.zeros((4, 5, 3), np.uint8)

    def release(self) -> None:
        pass


def test_a_video_of_a_varying_rate_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.avi", 1)
    monkeypatch.setattr(video.cv2, "VideoCapture", lambda _: Rates(40))
    assert len(list(pictures(str(path)))) == 40
    monkeypatch.setattr(video.cv2, "VideoCapture", lambda _: Rates(60))
    with pytest.raises(InputError, match=r"the video ends after 40 frames, 2\.0 s of 3\.2 s"):
        list(pictures(str(path)))


def test_a_video_of_an_unknown_codec_is_no_broken_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.avi", 1)
    monkeypatch.setattr(Rates, "read", lambda _: (False, None))
    monkeypatch.setattr(video.cv2, "VideoCapture", lambda _: Rates(40))
    with pytest.raises(InputError, match=r"a\.avi: no frame of this video can be read; convert it to H\.264"):
        list(pictures(str(path)))


def test_a_clock_is_no_rate_of_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.avi", 1)
    monkeypatch.setattr(video.cv2, "VideoCapture", lambda _: Rates(90_000, fps=90_000))
    assert {picture.fps for picture in pictures(str(path))} == {25.0}


def test_an_empty_source_is_not_this_folder() -> None:
    with pytest.raises(InputError, match="a source is empty"):
        find_items("")
