"""Times of GPU work without the time of its launch: hot, with its data in the cache, and cold, from memory."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

Run = Callable[[], object]

ROUNDS, CALLS = 20, 10
HOLD = 400_000  # clock cycles that the GPU waits, so that all is launched before the first event is reached
FLUSHED = 3  # times the cache's size that the copies of a workload's data take
MOST_COPIES = 32


@dataclass(frozen=True)
class Timed:
    """Medians in microseconds, and the ratio to the first way's hot time, turn by turn.

    `cold_us` is None where the GPU's cache is unknown. A way that cannot be captured as a graph includes its launch.
    """

    hot_us: float
    cold_us: float | None
    ratio: float
    captured: bool


def copies_needed(size: int, device: str) -> int:
    """How many copies of `size` bytes of data the cache does not hold; 1 if one is enough."""
    if device == "cpu":
        return 1
    cache = torch.cuda.get_device_properties(device).L2_cache_size
    return max(1, min(MOST_COPIES, -(-FLUSHED * cache // max(1, size))))


def time_in_turns(ways: Mapping[str, Sequence[Run]], device: str) -> dict[str, Timed | str]:
    """Time ways to do the same work: each is a list of runs on copies of the data. A way that fails gives its error."""
    hot: dict[str, _Batch] = {}
    cold: dict[str, _Batch] = {}
    failed: dict[str, str] = {}
    for way, runs in ways.items():
        try:
            hot[way] = _Batch([runs[0]] * CALLS, device)
            cold[way] = _Batch(runs, device) if len(runs) > 1 else hot[way]
        except (RuntimeError, NotImplementedError, ValueError) as error:
            failed[way] = " ".join(str(error).split())[:200]
            hot.pop(way, None)
    rounds = ROUNDS if device != "cpu" else 2
    hot_us: dict[str, list[float]] = {way: [] for way in hot}
    cold_us: dict[str, list[float]] = {way: [] for way in hot}
    for _ in range(rounds):
        for way in hot:
            hot_us[way].append(hot[way].microseconds())
            cold_us[way].append(cold[way].microseconds())
    first = next(iter(hot_us.values()), [])
    timed = {
        way: Timed(
            statistics.median(hot_us[way]),
            statistics.median(cold_us[way]) if device != "cpu" else None,
            statistics.median(b / a for a, b in zip(first, hot_us[way], strict=True)),
            batch.captured,
        )
        for way, batch in hot.items()
    }
    return {way: timed.get(way, failed.get(way, "")) for way in ways}


class _Batch:
    """Runs that are started together: as one graph, if they can be captured."""

    def __init__(self, runs: Sequence[Run], device: str) -> None:
        self._runs, self._device = runs, device
        self._graph: torch.cuda.CUDAGraph | None = None
        if device == "cpu":
            return
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for run in runs:
                run()
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                for run in runs:
                    run()
        except RuntimeError:  # something in it waits for the GPU
            torch.cuda.synchronize()
        else:
            self._graph = graph
            graph.replay()
            torch.cuda.synchronize()

    @property
    def captured(self) -> bool:
        return self._graph is not None

    def microseconds(self) -> float:
        """The time of one run."""
        if self._device == "cpu":
            started = time.perf_counter()
            self._runs[0]()
            return (time.perf_counter() - started) * 1e6
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.cuda._sleep(HOLD)
        start.record()
        if self._graph is not None:
            self._graph.replay()
        else:
            for run in self._runs:
                run()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) * 1e3 / len(self._runs)
