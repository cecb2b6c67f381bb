"""Whatever is wrong with what detinfer is given: the right exit code, one line, and no file left."""

import errno
import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import COLOR_CARD, write_color_model

from detforge.deploy.card import SCHEMA
from detforge.deploy.detinfer import cli


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, color_model: Path) -> None:
    """A folder with good.png and model.onnx."""
    monkeypatch.chdir(tmp_path)
    Path("good.png").write_bytes(encoded(".png"))
    Path("model.onnx").write_bytes(color_model.read_bytes())


def encoded(suffix: str) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    done, data = cv2.imencode(suffix, cv2.resize(noise, (80, 60)))
    assert done
    return data.tobytes()


def check_one_error(capfd: pytest.CaptureFixture[str], code: int, *argv: str) -> str:
    """Run detinfer; the one line that it says."""
    before = sorted(Path.cwd().rglob("*"))
    try:
        given = cli.main(argv)
    except SystemExit as end:  # the parser's own
        given = end.code
    out, err = capfd.readouterr()
    lines = [line for line in err.splitlines() if not line.startswith("model: ")]
    assert given == code, err
    assert len(lines) == 1 and lines[0].startswith("error: ") and "; " in lines[0], err
    assert "Traceback" not in out
    assert [path for path in sorted(Path.cwd().rglob("*")) if path.is_file() and path not in before] == []
    return lines[0]


def run_model(capfd: pytest.CaptureFixture[str], code: int, *argv: str) -> str:
    return check_one_error(capfd, code, *argv, "--model", "model.onnx", "--json", "out.json", "--save-txt")


@pytest.mark.parametrize("part", [0.0, 0.01, 0.2, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".gif", ".tiff", ".ppm", ".jp2", ".avif"])
def test_truncated_images(suffix: str, part: float, capfd: pytest.CaptureFixture[str]) -> None:
    data = encoded(suffix)
    Path("bad" + suffix).write_bytes(data[: int(len(data) * part)])
    assert "bad" + suffix in run_model(capfd, 3, "bad" + suffix)


@pytest.mark.parametrize("name", ["bad.jpg", "bad.png", "bad.mp4", "bad.avi", "bad", "bad.txt"])
@pytest.mark.parametrize("data", [b"", b"only a text, nothing to see", b"\0" * 3000, b"\xff\xd8\xff" + b"9" * 999])
def test_files_that_are_no_pictures(name: str, data: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    Path(name).write_bytes(data)
    run_model(capfd, 3, name)


@pytest.mark.parametrize("part", [0.3, 0.6])
@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_truncated_videos(suffix: str, part: float, capfd: pytest.CaptureFixture[str]) -> None:
    writer = cv2.VideoWriter(f"whole.{suffix}", cv2.VideoWriter.fourcc(*"mp4v"), 10, (80, 60))
    for _ in range(20):
        writer.write(np.zeros((60, 80, 3), np.uint8))
    writer.release()
    data = Path(f"whole.{suffix}").read_bytes()
    Path(f"bad.{suffix}").write_bytes(data[: int(len(data) * part)])
    run_model(capfd, 3, f"bad.{suffix}")


@pytest.mark.parametrize("source", ["none.jpg", "none*.jpg", "empty", "nowhere/x.png", "77", "rtsp://127.0.0.1:1/x"])
def test_sources_that_are_not_there(source: str, capfd: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    run_model(capfd, 3, source)


def test_empty_stdin(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert "stdin: the file is empty" in run_model(capfd, 3, "-")


def card_with(old: str, new: str) -> str:
    text = COLOR_CARD.to_json()
    assert old in text
    return text.replace(old, new)


@pytest.mark.parametrize(
    ("card", "says"),
    [
        (None, "holds no Card"),
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        (card_with(f'"schema": {SCHEMA}', f'"schema": {SCHEMA + 1}'), "newer"),
        (card_with(f'"schema": {SCHEMA}', '"schema": "1"'), "'schema'"),
        (card_with('"conf": 0.25', '"conf": "0.25"'), "'suppress.conf'"),
        (card_with('"conf": 0.25', '"conf": 1.5'), "'suppress.conf'"),
        (card_with('"kind": "dense"', '"kind": "magic"'), "'form.kind'"),
        (card_with('"ops": []', '"ops": [], "extra": 1'), "'extra'"),
        (card_with('"strides": [32]', '"strides": [16]'), "export it again"),
        (json.dumps(json.loads(COLOR_CARD.to_json()) | {"form": {"kind": "graph"}}), "lacks the output"),
    ],
)
def test_models_with_a_wrong_card(card: str | None, says: str, capfd: pytest.CaptureFixture[str]) -> None:
    write_color_model(Path("bad.onnx"), card)
    assert says in check_one_error(capfd, 4, "good.png", "--model", "bad.onnx")


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.95])
def test_truncated_models(part: float, capfd: pytest.CaptureFixture[str]) -> None:
    data = Path("model.onnx").read_bytes()
    Path("bad.onnx").write_bytes(data[: int(len(data) * part)])
    check_one_error(capfd, 4, "good.png", "--model", "bad.onnx")


@pytest.mark.parametrize(
    ("model", "code"), [("none.onnx", 3), ("folder", 3), ("folder.onnx", 3), ("no_such_variant", 2), ("good.png", 4)]
)
def test_what_is_no_model(model: str, code: int, capfd: pytest.CaptureFixture[str]) -> None:
    Path("folder").mkdir()
    Path("folder.onnx").mkdir()
    check_one_error(capfd, code, "good.png", "--model", model)


@pytest.mark.parametrize(
    "flags",
    [
        ["--conf", "1.5"], ["--conf", "nan"], ["--conf", "x"], ["--iou", "-0.1"], ["--max-det", "0"],
        ["--max-det", "1e3"], ["--batch", "0"], ["--batch", "-1"], ["--threads", "0"], ["--fusion", "2"],
        ["--fusion", "0.5"], ["--nms", "soft"], ["--backend", "tensorflow"], ["--device", "gpu"],
        ["--device", "cuda:x"], ["--tile", "1"], ["--overlap", "1"], ["--classes", "purple"],
        ["--classes", ""], ["--stream"], ["--unknown"], ["--mod", "x"], ["--out", "."],
    ],
)  # fmt: skip
def test_bad_flags(flags: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    check_one_error(capfd, 2, "good.png", "--model", "model.onnx", *flags)


def test_no_source(capfd: pytest.CaptureFixture[str]) -> None:
    check_one_error(capfd, 2)


def full_disk(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("call", ["pathlib.Path.write_bytes", "pathlib.Path.replace", "pathlib.Path.touch"])
def test_a_full_disk(call: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call, full_disk)
    assert "No space left" in check_one_error(capfd, 1, "good.png", "--model", "model.onnx")


def test_a_full_disk_for_json(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.copyfileobj", full_disk)
    options = ["--model", "model.onnx", "--no-save", "--json", "a.json"]
    assert "No space left" in check_one_error(capfd, 1, "good.png", *options)


def test_a_full_disk_for_video(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    writer = cv2.VideoWriter("clip.avi", cv2.VideoWriter.fourcc(*"MJPG"), 10, (80, 60))
    writer.write(np.zeros((60, 80, 3), np.uint8))
    writer.release()
    # OpenCV only writes less than it was given and says nothing.
    monkeypatch.setattr("detforge.deploy.detinfer.video.has_h264", lambda _: False)
    monkeypatch.setattr("detforge.deploy.detinfer.video.VideoWriter.write", lambda *_: None)
    monkeypatch.setattr("detforge.deploy.detinfer.video.VideoWriter.close", lambda self: range(1, 2))
    assert "free some space" in check_one_error(capfd, 1, "clip.avi", "--model", "model.onnx")


@pytest.mark.parametrize(
    ("code", "flags"),
    [(2, ["--out", "good.png"]), (1, ["--out", "/proc/none"]), (1, ["--no-save", "--json", "/proc/a"])],
)
def test_places_that_cannot_be_written(code: int, flags: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    check_one_error(capfd, code, "good.png", "--model", "model.onnx", *flags)


def test_a_folder_that_is_read_only(capfd: pytest.CaptureFixture[str]) -> None:
    Path("locked").mkdir(mode=0o500)
    if os.access("locked", os.W_OK):
        pytest.skip("this user may write everywhere")
    check_one_error(capfd, 2, "good.png", "--model", "model.onnx", "--out", "locked")


@pytest.fixture
def failing() -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("two\nlines")

    return fail


def test_debug_shows_where_it_happened(
    failing: Callable[..., None], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("detforge.deploy.loader.load", failing)
    line = check_one_error(capfd, 1, "good.png", "--model", "model.onnx")
    assert "two lines; internal error (RuntimeError)" in line
    assert cli.main(["good.png", "--model", "model.onnx", "--debug"]) == 1
    assert "Traceback" in capfd.readouterr().err
