"""Timing, on samples and detectors whose figures follow by hand."""

import itertools
import math
import random
import statistics
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import COLOR_CARD

from detforge.deploy import load
from detforge.deploy.backends.recorded import RecordedBackend
from detforge.deploy.bench import environment
from detforge.deploy.bench.measure import ImageFile, Timer, find_images, latency, measure, read_images
from detforge.deploy.bench.report import Case
from detforge.deploy.contract.skeleton import Skeleton
from detforge.deploy.contract.suppression import Suppress
from detforge.deploy.forms import Heatmaps
from detforge.deploy.inputs.crop import Crop
from detforge.deploy.loader import assemble
from detforge.deploy.system.errors import InputError

TIMING = {"pre": 1.0, "infer": 2.0, "post": 3.0}


class Found:
    timing = TIMING


class FakeDetector:
    """Says that an image took TIMING, and remembers what it was given by each thread."""

    def __init__(self, clients: int = 1) -> None:
        self.widths: list[list[int]] = []
        self.calls: dict[threading.Thread, int] = {}
        self._all_here = threading.Barrier(clients, timeout=10)

    def __call__(self, images: list[np.ndarray]) -> list[Found]:
        thread = threading.current_thread()  # whose number may be used again
        if thread not in self.calls:
            self._all_here.wait()  # only clients that run at once get past this
        self.calls[thread] = self.calls.get(thread, 0) + 1
        self.widths.append([image.shape[1] for image in images])
        return [Found() for _ in images]


def image_files(*widths: int) -> list[ImageFile]:
    images = [np.zeros((8, width, 3), np.uint8) for width in widths]
    data = [cv2.imencode(".png", image)[1].tobytes() for image in images]
    return [ImageFile(f"{width}.png", d, (8, width)) for width, d in zip(widths, data, strict=True)]


def timer(batch: int, streams: int = 1, widths: tuple[int, ...] = (1, 2, 3)) -> tuple[Timer, FakeDetector]:
    detector = FakeDetector(streams)
    case = Case("a.onnx", "ort", "cpu", batch, streams)
    return Timer(case, detector, image_files(*widths), COLOR_CARD), detector


def percentile(samples: list[float], percent: int) -> float:
    """By the book: between the two nearest ranks, in proportion."""
    ordered = sorted(samples)
    rank = (len(ordered) - 1) * percent / 100
    low, high = ordered[math.floor(rank)], ordered[math.ceil(rank)]
    return low + (high - low) * (rank - math.floor(rank))


@pytest.mark.parametrize("count", [1, 2, 3, 100, 1001])
def test_latency_equals_the_definition(count: int) -> None:
    rng = random.Random(count)
    samples = [rng.lognormvariate(1, 1) for _ in range(count)]
    found = latency(samples)
    assert found.mean == pytest.approx(statistics.fmean(samples), rel=1e-12)
    for percent in (50, 90, 99):
        assert getattr(found, f"p{percent}") == pytest.approx(percentile(samples, percent), rel=1e-12)


def test_latency_by_hand() -> None:
    found = latency([float(i) for i in range(101)])
    assert (found.mean, found.p50, found.p90, found.p99) == (50, 50, 90, 99)


@pytest.mark.parametrize(("batch", "streams"), [(1, 1), (4, 1), (4, 3)])
def test_stages_are_for_the_batch_and_rates_for_all_clients(batch: int, streams: int) -> None:
    case, detector = timer(batch, streams)
    case.measure(0.02, settle=False)
    result = case.result()
    for stage, ms in TIMING.items():
        assert result.ms[stage].mean == result.ms[stage].p99 == ms * batch
    # Each client's batch takes 2 ms an image, so a client infers 500 images a second.
    assert result.model_fps == pytest.approx(500 * streams)
    assert result.e2e_fps == pytest.approx(batch * streams * 1000 / result.ms["e2e"].mean)
    assert result.ms["e2e"].mean > result.ms["decode"].mean > 0
    assert result.batches == len(detector.widths) == sum(detector.calls.values())
    assert len(detector.calls) == streams


def test_batches_take_the_images_in_turn() -> None:
    case, detector = timer(2)
    case.measure(0.02, settle=False)
    expected = itertools.cycle([[1, 2], [3, 1], [2, 3]])
    assert detector.widths == list(itertools.islice(expected, len(detector.widths)))


def test_what_is_not_to_count_does_not() -> None:
    case, detector = timer(1, streams=2)
    assert case.warm_up(0.0) == 0.0
    assert case.warm_up(0.01) > 0.0
    uncounted = len(detector.widths)
    case.measure(0.01, settle=True)
    assert case.result().batches == len(detector.widths) - uncounted - 2


def test_the_shortest_turn_is_one_batch() -> None:
    case, _ = timer(1)
    case.measure(1e-9, settle=False)
    assert case.result().batches == 1


class FakeTimer:
    """Takes as long as it is asked to, or at least `batch` seconds, without waiting for it."""

    def __init__(self, name: str, batch: float, log: list[Any]) -> None:
        self.seconds = 0.0
        self._name, self._batch, self._log = name, batch, log

    def warm_up(self, seconds: float) -> float:
        self._log.append(("warm", self._name, seconds))
        return self._batch

    def measure(self, seconds: float, *, settle: bool) -> None:
        self._log.append((self._name, seconds, settle))
        self.seconds += max(seconds, self._batch)


@pytest.mark.parametrize(("slowest", "turns"), [(0.25, [0.5, 0.5, 0.25]), (1.25, [1.25]), (1.0, [1.0, 0.25])])
def test_cases_take_turns(slowest: float, turns: list[float]) -> None:
    log: list[Any] = []
    heard: list[float] = []
    pair = [FakeTimer("a", 0.125, log), FakeTimer("b", slowest, log)]
    measure(pair, 1.25, 0.5, heard.append)
    expected = [(name, turn, True) for turn in turns for name in "ab"]
    assert log == [("warm", "a", 0.5), ("warm", "b", 0.5), *expected]
    assert sum(heard) == sum(case.seconds for case in pair)


def test_a_case_alone_has_nothing_to_settle() -> None:
    log: list[Any] = []
    measure([FakeTimer("a", 0.1, log)], 0.5, 0.0, lambda _: None)
    assert log == [("warm", "a", 0.0), ("a", 0.5, False)]


def test_images_come_in_natural_order_without_videos(tmp_path: Path) -> None:
    for name, image in (("10.png", np.zeros((4, 6, 3))), ("9.png", np.zeros((2, 3, 3)))):
        cv2.imwrite(str(tmp_path / name), image)
    (tmp_path / "a.mp4").write_bytes(b"never opened")
    (tmp_path / "a.txt").write_text("no image")
    files = read_images(find_images(tmp_path))
    assert [(Path(file.name).name, file.size) for file in files] == [("9.png", (2, 3)), ("10.png", (4, 6))]
    assert files[0].data == (tmp_path / "9.png").read_bytes()


def test_no_more_than_256_images_are_held(tmp_path: Path) -> None:
    for i in range(257):
        cv2.imwrite(str(tmp_path / f"{i}.bmp"), np.zeros((1, 1, 3)))
    assert len(read_images(find_images(tmp_path))) == 256


def test_a_folder_with_a_broken_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"a\.png"):
        read_images(find_images(tmp_path))


@pytest.mark.skipif(environment.peak_memory() is None, reason="no /proc/self/status, so memory is not told")
def test_peak_memory_starts_anew_and_sees_what_is_gone() -> None:
    """In a process of its own: other tests' threads and memory would have their say."""
    script = """if True:
        import numpy as np
        from detforge.deploy.bench import environment
        def most(mebibytes):
            array = np.ones(mebibytes << 20, np.uint8)
            del array
            return environment.peak_memory()
        before = most(200)
        environment.reset_peak_memory()
        low = environment.peak_memory()
        print(before, low, most(100))
    """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    before, low, high = map(float, done.stdout.split())
    assert before - low > 150
    assert 90 < high - low < 150


def test_a_network_for_crops_gets_the_whole_image_as_its_box() -> None:
    skeleton = Skeleton(("nose", "chin"), ((0, 1),), (), (0.1, 0.1))
    crops = replace(COLOR_CARD.input, place=Crop((64, 64)))
    form, suppress = Heatmaps(flip=False), Suppress("oks")
    card = replace(COLOR_CARD, inputs=(crops,), form=form, suppress=suppress, skeleton=skeleton)
    maps = np.zeros((2, 2, 16, 16), np.float32)
    maps[:, :, 4, 8] = 1
    model = assemble(RecordedBackend({"heatmaps": maps}, {}), card)
    wide, high = model.find([np.zeros((48, 64, 3), np.uint8), np.zeros((90, 30, 3), np.uint8)])
    assert (wide.boxes.tolist(), high.boxes.tolist()) == ([[0, 0, 64, 48]], [[0, 0, 30, 90]])
    assert wide.keypoints is not None and wide.keypoints.shape == (1, 2, 3)
    assert set(wide.timing) == {"pre", "infer", "post"}


def test_other_models_find_what_a_call_gives(color_model: Path) -> None:
    model = load(str(color_model), conf=0.1)
    image = np.zeros((64, 64, 3), np.uint8)
    image[:32, 32:, 2] = 255
    [found] = model.find([image])
    assert (found.boxes.tolist(), found.labels.tolist()) == ([[32, 0, 64, 32]], [2])
    assert model(image).boxes.tolist() == found.boxes.tolist()
