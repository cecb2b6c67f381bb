"""What goes wrong around a running model ends in whole files and one line, and what is many ends at all."""

import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from conftest import COLOR_CARD

from detforge.deploy import _native, load
from detforge.deploy.backends.guarded import GuardedBackend
from detforge.deploy.backends.recorded import RecordedBackend
from detforge.deploy.choose import BUNDLED
from detforge.deploy.detinfer.cli import main
from detforge.deploy.inputs import video
from detforge.deploy.inputs.sources import pictures
from detforge.deploy.loader import assemble

RED = np.full((64, 64, 3), (0, 0, 255), np.uint8)


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_interrupt_in_a_folder_leaves_whole_files(color_model: Path) -> None:
    Path("photos").mkdir()
    for i in range(300):
        cv2.imwrite(f"photos/{i}.png", RED)
    # Where the tests are a shell's background job, they and their children are born deaf to interrupts.
    listen = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-c", f"{listen}; from detforge.deploy.detinfer.cli import main; sys.exit(main())"]
    flags = ["photos", "--model", str(color_model), "--json", "a.json", "--save-txt", "--save-crops"]
    with subprocess.Popen([*command, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(20):
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert process.returncode == 130 and "Traceback" not in errors
    found = {record["image"] for record in json.loads(Path("a.json").read_text())}
    assert 1 <= len(found) < 300
    files = [path for path in Path("runs/infer").rglob("*") if path.is_file()]
    assert not [path for path in files if path.name.startswith(".")]
    for path in files:
        if path.suffix == ".txt":
            assert all(len(line.split()) == 5 for line in path.read_text().splitlines())
        else:
            assert cv2.imread(str(path)) is not None


def test_a_second_signal_does_not_cut_the_cleaning_short() -> None:
    code = """
import sys, time
from detforge.deploy.system.console import Parser, run
def command(_):
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        print("cleaning", flush=True)
        time.sleep(1)
        print("clean", flush=True)
    return 0
sys.exit(run(command, Parser("x", "x"), []))
"""
    listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    with subprocess.Popen(
        [sys.executable, "-c", listen + code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in ("ready", "cleaning"):
            assert process.stdout.readline() == f"{line}\n"
            process.send_signal(signal.SIGTERM if line == "ready" else signal.SIGINT)
        printed, errors = process.communicate()
    assert (process.returncode, printed, errors) == (143, "clean\n", "")


def test_results_are_kept_when_a_picture_cannot_be_saved(color_model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Path("photos").mkdir()
    for i in range(3):
        cv2.imwrite(f"photos/{i}.png", RED)
    Path("out/1.jpg").mkdir(parents=True)  # where the second is to go
    Path("out/1.png").mkdir(parents=True)
    assert main(["photos", "--model", str(color_model), "--out", "out", "--json", "a.json"]) == 1
    assert "1.png: cannot be written" in capfd.readouterr().err
    assert {record["image"] for record in json.loads(Path("a.json").read_text())} == {"0.png", "1.png"}


def test_a_file_is_no_folder_for_results(color_model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Path("out").write_text("mine")
    cv2.imwrite("a.png", RED)
    assert main(["a.png", "--model", str(color_model), "--out", "out"]) == 2
    said = "error: out/results: cannot be written; out is not a folder; choose another --out, or --no-save\n"
    assert capfd.readouterr() == ("", said.replace("; out is", f"; {Path('out').absolute()} is"))
    assert main(["a.png", "--model", str(color_model), "--out", "out", "--no-save"]) == 0


def test_a_place_for_the_json_is_looked_at_first(color_model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cv2.imwrite("a.png", RED)
    assert main(["a.png", "--model", str(color_model), "--json", "."]) == 2
    assert capfd.readouterr().err == "error: .: cannot be written; it is a folder; name a file in it\n"


class Camera:
    """Stands in for cv2.VideoCapture: gives so many frames, then nothing, as when its cable is pulled."""

    frames = 5

    def __init__(self, _: object) -> None:
        self._left = self.frames

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def get(self, _: int) -> float:
        return 0.0

    def read(self) -> tuple[bool, np.ndarray | None]:
        self._left -= 1
        return (True, RED) if self._left >= 0 else (False, None)

    def release(self) -> None:
        pass


@pytest.mark.parametrize("frames", [5, 0])
def test_a_camera_that_is_unplugged(
    frames: int, color_model: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    real = cv2.VideoCapture
    monkeypatch.setattr(Camera, "frames", frames)
    monkeypatch.setattr(video.cv2, "VideoCapture", lambda item: Camera(item) if item == 0 else real(item))
    code = main(["0", "--model", str(color_model), "--json", "a.json"])
    errors = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error")]
    if not frames:
        assert code == 3 and len(errors) == 1
        assert not Path("runs").exists()
        return
    assert code == 3 and errors == [
        "error: camera0: the stream broke off after 5 frames; check the camera or connection"
    ]
    assert real("runs/infer/camera0.mp4").get(cv2.CAP_PROP_FRAME_COUNT) == frames
    assert len(json.loads(Path("a.json").read_text())) == 4 * frames  # four cells of a red picture


def spoilt_model(color_model: Path) -> Path:
    """Its last cell's box has no numbers."""
    proto = onnx.load(color_model)
    cells = next(each for each in proto.graph.initializer if each.name == "cells")
    cells.float_data[12:] = [float("nan"), float("inf"), float("-inf"), float("nan")]
    onnx.save(proto, "spoilt.onnx")
    return Path("spoilt.onnx")


def test_outputs_that_are_no_numbers_are_said_once_and_survived(color_model: Path) -> None:
    Path("photos").mkdir()
    for i in range(3):
        cv2.imwrite(f"photos/{i}.png", RED)
    flags = ["photos", "--model", str(spoilt_model(color_model)), "--json", "a.json", "--no-save"]
    code = "import sys; from detforge.deploy.detinfer.cli import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code, *flags], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    [warning] = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert warning.startswith("warning: spoilt.onnx: 4 of 16 values of boxes are NaN or infinite and count as 0; ")
    boxes = sorted(tuple(record["bbox"]) for record in json.loads(Path("a.json").read_text()))
    assert boxes == sorted(3 * [(0, 0, 32, 32), (32, 0, 32, 32), (0, 32, 32, 32)])


def test_broken_scores_lose_their_own_detections_alone() -> None:
    scores = np.zeros((1, 4, 3), np.float32)
    scores[0, :, 2] = [0.9, np.nan, np.inf, 0.8]
    boxes = np.array([[[0, 0, 32, 32], [32, 0, 64, 32], [0, 32, 32, 64], [32, 32, 64, 64]]], np.float32)
    backend = GuardedBackend(RecordedBackend({"boxes": boxes, "scores": scores}, {}), "m.onnx")
    detector = assemble(backend, COLOR_CARD)
    with pytest.warns(RuntimeWarning, match=r"2 of 12 values of scores .*shown once") as said:
        found = [detector(RED) for _ in range(3)]
    assert len(said) == 1
    for each in found:
        assert each.scores.tolist() == pytest.approx([0.9, 0.8])
        assert each.boxes.tolist() == [[0, 0, 32, 32], [32, 32, 64, 64]]


def test_finite_outputs_pass_untouched() -> None:
    outputs = {"a": np.array([3.4e38, -3.4e38, 0.0], np.float32), "n": np.array([2**62]), "none": np.empty((0, 4), "f")}
    passed = GuardedBackend(RecordedBackend(outputs, {}), "m.onnx").run({})
    assert all(passed[name] is value for name, value in outputs.items())


@pytest.mark.slow
def test_sixteen_threads_open_and_share_models() -> None:
    rng = np.random.default_rng(0)
    pictures = [cv2.blur(rng.integers(0, 256, (90, 120 + 8 * i, 3), np.uint8), (5, 5)) for i in range(4)]
    model = load(str(BUNDLED), threads=1, conf=0.01)
    alone = [model(picture) for picture in pictures]

    def look(i: int) -> tuple[list[list[float]], list[list[float]]]:
        own = load(str(BUNDLED), threads=1, conf=0.01)
        return own(pictures[i % 4]).boxes.tolist(), model(pictures[i % 4]).boxes.tolist()

    with ThreadPoolExecutor(16) as pool:
        for i, boxes in enumerate(pool.map(look, range(32))):
            assert boxes[0] == boxes[1] == alone[i % 4].boxes.tolist()


@pytest.mark.parametrize("limit", [300, 100_000])
@pytest.mark.parametrize("places", [1_000_000, 1000, 1])
def test_a_million_boxes(places: int, limit: int) -> None:
    """As many in each of so many places that are apart."""
    side = np.arange(1000, dtype=np.float32) * 4
    corners = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
    apart = np.concatenate((corners, corners + 3), 1)[:: 1_000_000 // places]
    boxes = np.tile(apart, (1_000_000 // places, 1))
    order = np.random.default_rng(0).permutation(len(boxes))
    scores = np.empty(len(boxes), np.float32)
    scores[order] = np.linspace(1, 0, len(boxes))
    kept = _native.nms(boxes, scores, np.zeros(len(boxes), np.int64), 0.5, limit)
    _, best = np.unique(order % places, return_index=True)  # of every place, in the order of scores
    assert kept.tolist() == order[np.sort(best)][:limit].tolist()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no /proc, so files and memory are not told")
def test_thousands_of_pictures_leave_nothing_behind(color_model: Path) -> None:
    model = load(str(color_model), threads=1)
    cv2.imwrite("a.png", RED)

    def used() -> tuple[int, int]:
        lines = Path("/proc/self/status").read_text().splitlines()
        return len(list(Path("/proc/self/fd").iterdir())), next(
            int(x.split()[1]) for x in lines if x.startswith("VmRSS")
        )

    for picture in pictures("a.png"):
        for _ in range(500):
            model(picture.image)
    before = used()
    for _ in range(3000):
        for picture in pictures("a.png"):
            model([picture.image, picture.image])
    after = used()
    assert after[0] == before[0]
    assert after[1] - before[1] < 4 << 10  # KiB: less than 1.4 KiB a picture, of which one alone has 12
