"""detinfer on pictures whose boxes follow by hand from the colours in them (see conftest.write_color_model)."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import COLOR_CARD, write_color_model

from detforge.deploy import choose
from detforge.deploy.backends.recorded import RecordedBackend
from detforge.deploy.detinfer import cli
from detforge.deploy.pipelines.detector import Detector

RED = {"bbox": [0.0, 0.0, 64.0, 64.0], "score": 1.0, "label": 2, "category": "red"}
BLUE = {"bbox": [64.0, 64.0, 64.0, 64.0], "score": 0.78431, "label": 0, "category": "blue"}


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def red_and_blue() -> np.ndarray:
    """128 px square: its first quarter red, its last a darker blue (200 / 255), else black."""
    image = np.zeros((128, 128, 3), np.uint8)
    image[:64, :64, 2] = 255
    image[64:, 64:, 0] = 200
    return image


def write(name: str) -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(name, red_and_blue())
    return name


def write_video(name: str, frames: int = 5) -> str:
    writer = cv2.VideoWriter(name, cv2.VideoWriter.fourcc(*"MJPG"), 10, (128, 128))
    for _ in range(frames):
        writer.write(red_and_blue())
    writer.release()
    return name


def infer_json(capfd: pytest.CaptureFixture[str], *argv: str) -> list[dict[str, object]]:
    assert cli.main([*argv, "--json", "-"]) == 0
    return json.loads(capfd.readouterr().out)


def test_json_holds_the_boxes_in_original_pixels(color_model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    records = infer_json(capfd, write("photos/a.png"), "--model", str(color_model))
    place = {"image": "a.png", "image_size": [128, 128]}
    assert records == [{**place, **RED}, {**place, **BLUE}]


def test_json_to_a_file_leaves_stdout_to_the_tables(color_model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main([write("a.png"), "--model", str(color_model), "--json", "new/a.json"]) == 0
    assert [record["category"] for record in json.loads(Path("new/a.json").read_text())] == ["red", "blue"]
    out, err = capfd.readouterr()
    first, red, blue, speed, summary = out.splitlines()
    assert first == "a.png: 128x128, 2 found"
    assert red.split() == ["red", "1.000", "0.0", "0.0", "64.0", "64.0"]
    assert blue.split() == ["blue", "0.784", "64.0", "64.0", "128.0", "128.0"]
    assert speed.startswith("speed: pre ") and summary.startswith("pictures: 1, detections: 2, ")
    assert err == f"model: {color_model}\n"


@pytest.mark.parametrize(
    ("flags", "kept"),
    [
        (["--conf", "0.9"], ["red"]),
        (["--conf", "1"], []),
        (["--classes", "blue"], ["blue"]),
        (["--max-det", "1"], ["red"]),
        (["--nms", "none", "--iou", "0.1", "--threads", "1", "--backend", "ort"], ["red", "blue"]),
    ],
)
def test_flags_choose_what_stays(
    flags: list[str], kept: list[str], color_model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    records = infer_json(capfd, write("a.png"), "--model", str(color_model), *flags)
    assert [record["category"] for record in records] == kept


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_stream_prints_a_line_for_each_picture(
    batch: int, color_model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write("photos/b.png")
    sources = ["photos", write_video("clip.avi")]
    options = ["--json", "-", "--stream", "--batch", str(batch), "--no-save"]
    assert cli.main([*sources, "--model", str(color_model), *options]) == 0
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [(line["image"], line.get("frame")) for line in lines] == [
        ("b.png", None), *(("clip.avi", i) for i in range(5))
    ]  # fmt: skip
    for line in lines:
        assert [found["category"] for found in line["detections"]] == ["red", "blue"]


def test_copies_have_their_source_names_and_none_is_lost(color_model: Path) -> None:
    sources = [write("x/a.png"), write("y/a.png"), write("y/b.jpg"), write("y/c.ppm")]
    assert cli.main([*sources, write_video("clip.avi"), "--model", str(color_model)]) == 0
    saved = sorted(path.as_posix() for path in Path("runs/infer").rglob("*.*"))
    assert saved == [f"runs/infer/{name}" for name in ("b.jpg", "c.png", "clip.mp4", "x/a.png", "y/a.png")]
    drawn = cv2.imread("runs/infer/x/a.png")
    assert drawn is not None and drawn.shape == (128, 128, 3) and (drawn != red_and_blue()).any()
    video = cv2.VideoCapture("runs/infer/clip.mp4")
    assert (video.get(cv2.CAP_PROP_FRAME_COUNT), video.get(cv2.CAP_PROP_FPS)) == (5, 10)


def test_label_files_and_crops(color_model: Path) -> None:
    flags = ["--no-save", "--save-txt", "--save-crops", "--out", "o"]
    assert cli.main([write("a.png"), write_video("clip.avi", 1), "--model", str(color_model), *flags]) == 0
    files = sorted(str(path) for path in Path("o").rglob("*.*"))
    assert files == [
        "o/crops/blue/a_1.jpg", "o/crops/blue/clip_000000_1.jpg", "o/crops/red/a_0.jpg",
        "o/crops/red/clip_000000_0.jpg", "o/labels/a.txt", "o/labels/clip_000000.txt",
    ]  # fmt: skip
    assert Path("o/labels/a.txt").read_text().splitlines() == [
        "2 0.250000 0.250000 0.500000 0.500000",
        "0 0.750000 0.750000 0.500000 0.500000",
    ]
    crop = cv2.imread("o/crops/red/a_0.jpg")
    assert crop is not None and crop.shape == (64, 64, 3)
    assert (crop.reshape(-1, 3).mean(axis=0) - (0, 0, 255)).max() < 3


def test_no_save_leaves_nothing(color_model: Path) -> None:
    assert cli.main([write("a.png"), "--model", str(color_model), "--no-save"]) == 0
    assert not Path("runs").exists()


def test_long_tables_end_with_what_is_left_out(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    column = np.arange(64, dtype=np.float32)
    boxes = np.stack([column, column * 0, column + 1, column + 1], axis=1)[None]
    outputs = {"boxes": boxes, "scores": np.full((1, 64, 3), 0.5, np.float32)}
    card = COLOR_CARD.__class__.from_json(COLOR_CARD.to_json().replace('"strides": [32]', '"strides": [8]'))
    monkeypatch.setattr("detforge.deploy.loader.load", lambda *_, **__: Detector(RecordedBackend(outputs, {}), card))
    assert cli.main([write("a.png"), "--no-save"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == "a.png: 128x128, 100 found" and lines[16] == "  … 85 more"


def test_the_model_is_opened_once(color_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from detforge.deploy import loader

    opened: list[str] = []
    load = loader.load
    monkeypatch.setattr(loader, "load", lambda path, **given: (opened.append(path), load(path, **given))[1])
    assert cli.main([write("a.png"), write("b.png"), "--model", str(color_model)]) == 0
    assert opened == [str(color_model)]


def test_a_broken_picture_does_not_end_the_run(color_model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write("photos/a.png")
    write("photos/c.png")
    Path("photos/b.png").write_bytes(Path("photos/a.png").read_bytes()[:60])
    assert cli.main(["photos", "gone.jpg", "--model", str(color_model), "--json", "-", "--stream"]) == 3
    out, err = capfd.readouterr()
    assert [json.loads(line)["image"] for line in out.splitlines()] == ["a.png", "c.png"]
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2 and "gone.jpg" in errors[0] and "b.png" in errors[1]


def test_tiles_find_what_is_small(color_model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    image = np.zeros((256, 256, 3), np.uint8)
    image[0:32, 0:32, 2] = 255  # a quarter of the 64 px tile, a sixteenth of the 128 px cell of the whole
    cv2.imwrite("a.png", image)
    options = ["--model", str(color_model), "--no-save"]
    assert infer_json(capfd, "a.png", *options) == []
    found = infer_json(capfd, "a.png", *options, "--tile", "64", "--overlap", "0")
    assert [record["bbox"] for record in found] == [[0, 0, 32, 32]]
    assert infer_json(capfd, "a.png", *options, "--tile", "256") == []


def test_an_absent_device_is_refused_or_replaced_with_a_warning(
    color_model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this machine has CUDA")
    options = [write("a.png"), "--model", str(color_model), "--device", "cuda:0", "--no-save"]
    assert cli.main(options) == 4
    assert "error: device cuda:0: " in capfd.readouterr().err
    assert cli.main([*options, "--allow-fallback"]) == 0
    assert "warning: device cuda:0: " in capfd.readouterr().err


def test_the_model_is_chosen_by_age_and_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose.choose_model(None) == choose.BUNDLED
    Path("exports").mkdir()
    names = ["gfl_r50.onnx", "gfl_r50-fp16.onnx", "gfl_r101.onnx", "gfl_r50_test.onnx", "x.rejected.onnx"]
    for age, name in enumerate(names):
        write_color_model(Path("exports", name), COLOR_CARD.to_json())
        os.utime(Path("exports", name), (age, age))
    assert choose.choose_model(None).name == "gfl_r50_test.onnx"
    random = replace(COLOR_CARD, provenance=replace(COLOR_CARD.provenance, checkpoint="random"))
    for name, card in (("random.onnx", random.to_json()), ("foreign.onnx", None)):
        write_color_model(Path("exports", name), card)  # the newest, and never chosen by themselves
    shutil.copy(choose.BUNDLED_POSE, "exports/pose.onnx")
    assert choose.choose_model(None).name == "gfl_r50_test.onnx"
    assert choose.choose_model("gfl_r50").name == "gfl_r50-fp16.onnx"
    assert choose.choose_model("gfl_r101").name == "gfl_r101.onnx"
    assert choose.choose_model("gfl").name == "gfl_r50_test.onnx"
    assert choose.choose_model("gfl_markers") == choose.BUNDLED
    with pytest.raises(choose.UsageError, match=r"did you mean .*gfl_r50"):
        choose.choose_model("gfl_r5o")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, detforge.deploy.detinfer.cli as c\n"
        "try: c.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'numpy', 'cv2', 'rich', 'onnxruntime', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]" and done.stderr == ""


def test_an_interrupt_leaves_a_whole_video(color_model: Path) -> None:
    # Where the tests are a shell's background job, they and their children are born deaf to interrupts.
    listen = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-c", f"{listen}; from detforge.deploy.detinfer.cli import main; sys.exit(main())"]
    arguments = [write_video("clip.avi", 400), "--model", str(color_model), "--json", "a.json"]
    with subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(10):
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.stdout.read()
    assert process.returncode == 130
    frames = cv2.VideoCapture("runs/infer/clip.mp4").get(cv2.CAP_PROP_FRAME_COUNT)
    assert 1 <= frames < 400
    assert [path.name for path in Path("runs/infer").iterdir()] == ["clip.mp4"]
    assert len(json.loads(Path("a.json").read_text())) >= 2 * frames
