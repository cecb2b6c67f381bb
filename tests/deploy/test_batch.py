"""Runs over a Ray cluster against plain ones: a killed worker, a stopped run, broken pictures, other sources."""

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from detforge.deploy import load
from detforge.deploy.batch.rows import RUN, items_of
from detforge.deploy.batch.run import Run, Worker
from detforge.deploy.detinfer.cli import main
from detforge.deploy.inputs.image import read_image
from detforge.deploy.inputs.listing import find_items
from detforge.deploy.system.errors import UsageError

PHOTO = Path(__file__).parents[2] / "examples/photos/desk.jpg"
PICTURES = int(os.environ.get("RAY_PICTURES", "16"))

pytestmark = pytest.mark.skipif(
    None in (importlib.util.find_spec("ray"), importlib.util.find_spec("pyarrow")), reason="ray[data] is not installed"
)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Parts of a photograph with markers, a picture that is none, and a clip."""
    folder = tmp_path / "photos"
    folder.mkdir()
    photo = cv2.imread(str(PHOTO))
    for i in range(PICTURES):
        x, y = i % 160, i // 160 % 160 + 200
        cv2.imwrite(str(folder / f"{i}.jpg"), photo[y : y + 240, x : x + 320])
    (folder / "broken.jpg").write_text("no image")
    clip = cv2.VideoWriter(str(folder / "clip.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 5, (320, 240))
    for i in range(3):
        clip.write(photo[200 + i : 440 + i, 200:520])
    clip.release()
    return folder


def plain(photos: Path, file: Path, *flags: str) -> Any:
    command = [str(photos), "--model", "gfl_markers", "--no-save", "--threads", "1", "--json", str(file), *flags]
    assert main(command) == 3  # one of them is broken
    return json.loads(file.read_text())


@pytest.mark.slow
def test_a_worker_writes_what_detinfer_finds(photos: Path, tmp_path: Path) -> None:
    model = load("gfl_markers", pose_model="corners_markers", threads=1)
    run, items = Run(model, tmp_path / "parts", 4, 1), find_items(str(photos)).items
    nowhere = Worker(model, "/proc/nowhere", 4, "")({"items": json.dumps([vars(items[0])])})
    assert "cannot be written; No such file or directory; check" in nowhere["failure"]
    worker = Worker(model, str(tmp_path / "parts"), 4, run._made_by)
    done = json.loads(worker({"items": json.dumps([vars(item) for item in items])})["done"])
    expected = plain(photos, tmp_path / "plain.json", "--pose-model", "corners_markers", "--batch", "4")
    assert list(run.records(items)) == expected and len(expected[0]["keypoints"]) == 12
    assert (done["items"], done["pictures"], done["detections"]) == (PICTURES + 2, PICTURES + 3, len(expected))
    [error] = done["errors"]
    assert error == f"{photos}/broken.jpg: not an image; check that it opens in a viewer"
    assert run.left(items) == []
    assert main([str(photos), "--ray", "local", "--parquet", str(tmp_path / "parts"), "--model", "gfl_markers"]) == 2


@pytest.mark.parametrize(
    "flags",
    [
        ["--parquet", "out"],
        ["--ray", "local"],
        ["--ray", "local", "--json", "-"],
        ["--ray", "local", "--json", "a.json", "--parquet", "out"],
        ["--ray", "local", "--json", "a.json", "--track"],
        ["--ray", "local", "--json", "a.json", "--tile", "320"],
    ],
)
def test_flags_that_do_not_go_together(flags: list[str], photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(photos), *flags]) == 2
    assert capsys.readouterr().err.startswith("error: --")


@pytest.mark.slow
@pytest.mark.long
def test_a_killed_worker_and_a_stopped_run_lose_and_double_nothing(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    command = [str(Path(sys.executable).parent / "detinfer"), str(photos), "--model", "gfl_markers"]
    command += ["--ray", "local", "--json", str(out)]
    with subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as first:
        try:
            done = _after_first_part(out)
            os.kill(_worker(first.pid), signal.SIGKILL)
            _after_first_part(out, done)
        finally:
            first.send_signal(signal.SIGTERM)
        said, complained = first.communicate()
        assert said == "" and "the same command goes on" in complained
        assert first.returncode == 128 + signal.SIGTERM
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 3, again.stderr
    assert f"of {PICTURES + 2} are done already" in again.stderr
    assert json.loads(out.read_text()) == plain(photos, tmp_path / "plain.json")
    assert not out.with_name("out.json.parts").exists()


def _after_first_part(out: Path, seen: int = 0) -> int:
    """Waits until there are more parts than `seen`."""
    deadline = time.monotonic() + 240
    while (count := len(list(out.with_name("out.json.parts").glob("part-*.parquet")))) <= seen:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return count


def _worker(driver: int) -> int:
    """A process that Ray has started for the model, by its name, on behalf of this driver."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            is_worker = b"MapWorker" in (process / "cmdline").read_bytes()
            if is_worker and os.getsid(int(process.name)) == os.getsid(driver):
                return int(process.name)
    raise AssertionError("the model has no process")


def test_a_part_that_does_not_name_its_sources_is_refused(tmp_path: Path) -> None:
    arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    part = tmp_path / "part-0.parquet"
    parquet.write_table(arrow.table({"image": ["a.png"]}).replace_schema_metadata({RUN: b"ours"}), part)
    with pytest.raises(UsageError, match=r"part-0\.parquet: of another model or of other options; choose another"):
        items_of(part, "ours")


class Death(BaseException):
    """Ends a worker as a signal does, whatever it catches."""


@pytest.mark.slow
def test_the_fourth_worker_leaves_out_what_killed_three(photos: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(photos / "7.jpg"), np.zeros((33, 33, 3), np.uint8))
    model = load("gfl_markers", threads=1)
    seen: list[int] = []

    def deadly(images: list[Any]) -> Any:
        seen.append(len(images))
        if any(image.shape[1] == 33 for image in images):
            raise Death
        return model(images)

    part = {"items": json.dumps([vars(item) for item in find_items(str(photos)).items])}
    for _ in range(3):
        with pytest.raises(Death):
            Worker(deadly, str(tmp_path / "parts"), 4, "")(part)
    assert seen == [4, 4] + 2 * [1] * 8  # the second and the third look at one after the other
    done = json.loads(Worker(deadly, str(tmp_path / "parts"), 4, "")(part)["done"])
    assert (done["items"], done["pictures"]) == (PICTURES + 2, PICTURES + 2)
    errors = [each.removeprefix(f"{photos}/") for each in done["errors"]]
    assert errors[0] == "7.jpg: workers die of it; it may need more memory than there is"
    assert len(errors) == 2 and [file.suffix for file in (tmp_path / "parts").iterdir()] == [".parquet"]


@pytest.mark.slow
@pytest.mark.long
def test_a_picture_that_kills_its_worker_is_a_row(photos: Path, tmp_path: Path) -> None:
    script = f"""
import os, signal
from pathlib import Path
from detforge.deploy import load
from detforge.deploy.batch.run import Run
from detforge.deploy.batch.sources import find_sources

class Deadly:  # for pictures 33 px wide
    def __init__(self, pipeline):
        self.pipeline, self.reopen = pipeline, pipeline.reopen

    def __call__(self, images):
        if any(image.shape[1] == 33 for image in images):
            os.kill(os.getpid(), signal.SIGKILL)
        return self.pipeline(images)

run = Run(Deadly(load("gfl_markers", threads=1)), Path({str(tmp_path / "parts")!r}), 4, 1)
items = find_sources({str(photos)!r}, False).items
done = list(run.work(items, "local"))
print(sum(each.items for each in done), *[error for each in done for error in each.errors], sep="|", end="|")
print(len(run.left(items)), len({{each["image"] for each in run.records(items)}}), end="")
"""
    photo = cv2.imread(str(PHOTO))
    cv2.imwrite(str(photos / "7.jpg"), photo[:33, :33])
    with tarfile.open(photos / "more.tar", "w") as tar:
        tar.add(PHOTO, "desk.jpg")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    count, *errors, left = done.stdout.split("|")
    assert int(count) == PICTURES + 3, done.stderr
    deadly = f"{photos}/7.jpg: workers die of it; it may need more memory than there is"
    assert sorted(errors) == [deadly, f"{photos}/broken.jpg: not an image; check that it opens in a viewer"]
    names = {each["image"] for each in plain(photos, tmp_path / "plain.json")} - {"7.jpg"} | {"more.tar/desk.jpg"}
    assert left == f"0 {len(names)}"


@pytest.mark.slow
def test_a_dataset_keeps_its_rows(photos: Path) -> None:
    script = f"""
import ray, logging
ray.init(num_cpus=2, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
from detforge.deploy.batch import detect
files = ray.data.read_binary_files({str(photos)!r}, include_paths=True, file_extensions=["jpg"])
for row in detect(files, model="gfl_markers", batch=4).take_all():
    print(row["path"], row["width"], len(row["detections"]), row["error"], sep="|")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    rows = {Path(path).name: rest for path, *rest in (line.split("|") for line in done.stdout.splitlines())}
    assert rows.pop("broken.jpg") == ["None", "0", "the image: not an image; check that it opens in a viewer"]
    model = load("gfl_markers", threads=1)
    expected = {f"{i}.jpg": len(model(read_image(photos / f"{i}.jpg"))) for i in range(PICTURES)}
    assert rows == {name: ["320", str(count), "None"] for name, count in expected.items()}
    assert np.sum(list(expected.values())) > PICTURES
