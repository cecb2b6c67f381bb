"""Timing of each stage of a model, from the bytes of image files to detections."""

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ..card import Card
from ..inputs.geometry import Image
from ..inputs.image import decode_image
from ..inputs.listing import find_items
from ..results.instances import Instances
from ..system.errors import InputError
from .environment import peak_memory, reset_peak_memory
from .report import MOST_SAMPLES, STAGES, Case, Latency, Result

_TURN_S = 0.5
_MOST_IMAGES = 256


@dataclass(frozen=True)
class ImageFile:
    """The bytes of an image file, and its (height, width) px."""

    name: str
    data: bytes
    size: tuple[int, int]


def find_images(folder: Path) -> list[str]:
    """The images of a folder in natural order. Raises InputError if there is none."""
    names = [item.path for item in find_items(str(folder)).items if not item.is_video]
    if not names:
        raise InputError(f"{folder}: no image in this folder; choose another with --images")
    return names


def read_images(names: Sequence[str]) -> list[ImageFile]:
    """The first 256 of some image files. Raises InputError if one is broken."""
    files: list[ImageFile] = []
    for name in names[:_MOST_IMAGES]:
        try:
            data = Path(name).read_bytes()
        except OSError as error:
            raise InputError(f"{name}: cannot be read; {error.strerror}; check its permissions") from error
        height, width, _ = decode_image(data, name).shape
        files.append(ImageFile(name, data, (height, width)))
    return files


Find = Callable[[Sequence[Image]], list[Instances]]
"""Runs a model on a batch of images and returns the detections of each, with their `timing`."""


class Turns(Protocol):
    """A timer of one case, as `measure` uses it."""

    @property
    def seconds(self) -> float:
        """The seconds measured so far."""
        ...

    def warm_up(self, seconds: float) -> float: ...
    def measure(self, seconds: float, *, settle: bool) -> None: ...


class Timer:
    """Times one case in this process. Batches cycle through the images."""

    def __init__(self, case: Case, find: Find, images: Sequence[ImageFile], card: Card) -> None:
        self.case, self.card = case, card
        self.seconds = 0.0
        self._find = find
        self._images = images
        self._turn = itertools.count()  # shared by all clients; next() is atomic
        self._samples: list[tuple[float, ...]] = []
        self._peak: float | None = None

    def warm_up(self, seconds: float) -> float:
        """Run without keeping timings and return the seconds of the last batch. With 0 seconds it does not run."""
        return self._run(seconds, settle=False)[-1][-1] / 1e3 if seconds else 0.0

    def measure(self, seconds: float, *, settle: bool) -> None:
        """Run for `seconds`, at least one batch per client. With `settle` each client first runs an untimed batch."""
        reset_peak_memory()
        samples = self._run(seconds, settle)
        self._peak = max((peak for peak in (self._peak, peak_memory()) if peak is not None), default=None)
        self._samples += samples
        self.seconds += sum(sample[-1] for sample in samples) / 1e3 / self.case.streams

    def result(self) -> Result:
        """The statistics of everything measured so far."""
        columns = zip(*self._samples, strict=True)
        ms = {stage: latency(column) for stage, column in zip(STAGES, columns, strict=True)}
        # Each client sends its next batch at once, so its rate is the inverse of its mean latency.
        images = self.case.batch * self.case.streams * 1e3
        fps = {stage: images / ms[stage].mean for stage in ("infer", "e2e")}
        last, count = len(self._samples) - 1, min(MOST_SAMPLES, len(self._samples))
        e2e_ms = tuple(self._samples[i * last // max(1, count - 1)][-1] for i in range(count))
        return Result(self.case, len(self._samples), ms, fps["infer"], fps["e2e"], self._peak, e2e_ms)

    def _run(self, seconds: float, settle: bool) -> list[tuple[float, ...]]:
        streams = self.case.streams
        together = threading.Barrier(streams, timeout=60)  # all clients start at once
        if streams == 1:
            return self._client(seconds, settle, together)
        with ThreadPoolExecutor(streams) as pool:
            clients = [pool.submit(self._client, seconds, settle, together) for _ in range(streams)]
            return [sample for client in clients for sample in client.result()]

    def _client(self, seconds: float, settle: bool, together: threading.Barrier) -> list[tuple[float, ...]]:
        together.wait()
        if settle:
            self._time_batch()
        end = time.perf_counter() + seconds
        samples = [self._time_batch()]
        while time.perf_counter() < end:
            samples.append(self._time_batch())
        return samples

    def _time_batch(self) -> tuple[float, ...]:
        """Run one batch and return the milliseconds of each of STAGES."""
        first = next(self._turn) * self.case.batch
        files = [self._images[(first + i) % len(self._images)] for i in range(self.case.batch)]
        started = time.perf_counter()
        pixels = [decode_image(file.data, file.name) for file in files]
        decoded = time.perf_counter()
        found = self._find(pixels)
        finished = time.perf_counter()
        # An image's timing is its share of the batch, so the shares add up to the batch's time.
        stages = [sum(instances.timing[stage] for instances in found) for stage in ("pre", "infer", "post")]
        return (decoded - started) * 1e3, *stages, (finished - started) * 1e3


def measure(timers: Sequence[Turns], duration: float, warmup: float, advance: Callable[[float], object]) -> None:
    """Measure every case for `duration` seconds. Cases alternate in short turns, so that noise affects all equally.

    `advance` is called with the seconds of each turn. If there are several cases, the first batch of a turn is not
    timed, because the caches hold the data of the previous case and its threads may still spin.
    """
    slowest = max(timer.warm_up(warmup) for timer in timers)
    turn = max(_TURN_S, slowest)  # long enough for a batch of the slowest case
    while waiting := [timer for timer in timers if timer.seconds < duration]:
        for timer in waiting:
            before = timer.seconds
            timer.measure(min(turn, duration - before), settle=len(timers) > 1)
            advance(timer.seconds - before)


def latency(samples: Sequence[float]) -> Latency:
    """Mean and percentiles of at least one sample. Percentiles interpolate linearly between samples."""
    p50, p90, p99 = np.percentile(samples, (50, 90, 99)).tolist()
    return Latency(float(np.mean(samples)), p50, p90, p99)
