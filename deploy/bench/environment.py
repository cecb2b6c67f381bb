"""The machine that a benchmark ran on, and what may have disturbed it: load, other processes, throttling."""

import contextlib
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Mapping
from importlib import metadata as packages
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..system.processors import available_processors, cpu_quota, read_system_file, throttled_periods


class Watch:
    """Records the machine's load and throttling, from when it is created until `environment` is called."""

    def __init__(self) -> None:
        self._load = _load()
        self._throttled = throttled_periods()
        self._hot = _thermal_events()
        self._started = time.monotonic()
        self._ticks = _ticks()

    def environment(self, threads: int) -> dict[str, Any]:
        """The facts about the machine for the report, as JSON; None if the system does not provide a value."""
        return {
            "cpu": _cpu(),
            "processors": available_processors(),
            "cpu_quota": cpu_quota(),
            "gpus": _gpus(),
            "threads": threads,
            "versions": _versions(),
            "load_at_start": self._load,
            "load_at_end": _load(),
            "throttled_periods": _rise(self._throttled, throttled_periods()),
            "thermal_events": _rise(self._hot, _thermal_events()),
        } | self._others()

    def _others(self) -> dict[str, float | None]:
        """The processors used on average by other processes and by other guests of the host ("stolen").

        Child processes that have ended and were waited for count as this process.
        """
        before, now = self._ticks, _ticks()
        seconds = max(time.monotonic() - self._started, 1e-9)
        if before is None or now is None:
            return {"processors_beside": None, "processors_stolen": None}
        busy, own, stolen = (b - a for a, b in zip(before, now, strict=True))
        beside = max(0.0, busy - own)
        return {"processors_beside": round(beside / seconds, 2), "processors_stolen": round(stolen / seconds, 2)}


def describe(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The facts of the environment as (name, text) lines for people."""
    quota = f", quota {facts['cpu_quota']:.1f}" if facts["cpu_quota"] is not None else ""
    lines = [("cpu", f"{facts['cpu']}, {facts['processors']} processors{quota}, {facts['threads']} threads used")]
    lines += [("gpu", name) for name in facts["gpus"]]
    lines += [("versions", ", ".join(f"{name} {version}" for name, version in facts["versions"].items()))]
    if facts["load_at_start"] is not None:
        lines += [("load", f"{facts['load_at_start']} at the start, {facts['load_at_end']} at the end")]
    if facts["processors_beside"] is not None:
        beside, stolen = facts["processors_beside"], facts["processors_stolen"]
        lines += [("others", f"other processes used {beside} processors, other guests of the host {stolen}")]
    throttled = [
        f"{facts[name]} {what}"
        for name, what in (("throttled_periods", "periods by the CPU quota"), ("thermal_events", "times by heat"))
        if facts[name] is not None
    ]
    return [*lines, *([("throttled", ", ".join(throttled))] if throttled else [])]


def reset_peak_memory() -> None:
    """Reset the value of `peak_memory`; Linux only."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # see proc(5): resets the high-water mark


def peak_memory() -> float | None:
    """The peak resident memory since `reset_peak_memory`, in MiB; None if the system does not provide it."""
    text = read_system_file(Path("/proc/self/status")) or ""
    found = [line.split()[1] for line in text.splitlines() if line.startswith("VmHWM:")]
    return int(found[0]) / 1024 if found else None


def _cpu() -> str:
    text = read_system_file(Path("/proc/cpuinfo")) or ""
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _gpus() -> list[str]:
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    query = [command, "--query-gpu=name", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return []  # nvidia-smi is there, but no driver
    return answer.stdout.split("\n")[:-1]


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "numpy": np.__version__, "opencv": cv2.__version__}
    names = ("detforge", "onnxruntime", "onnxruntime-gpu", "openvino", "tensorrt", "tensorrt-rtx", "torch")
    for name in names:
        with contextlib.suppress(packages.PackageNotFoundError):
            versions[name] = packages.version(name)
    return versions


def _rise(before: int | None, now: int | None) -> int | None:
    return None if before is None or now is None else now - before


def _ticks() -> tuple[float, float, float] | None:
    """CPU seconds in total, of this process and its ended children, and stolen by other guests of the host."""
    fields = (read_system_file(Path("/proc/stat")) or "").split("\n", 1)[0].split()
    if len(fields) < 9:
        return None
    user, nice, system, _, _, interrupts, soft, stolen = (
        int(field) / os.sysconf("SC_CLK_TCK") for field in fields[1:9]
    )
    return user + nice + system + interrupts + soft, sum(os.times()[:4]), stolen


def _thermal_events() -> int | None:
    """How often the processors were throttled by heat; None if the system does not provide it."""
    counts = [
        read_system_file(path)
        for path in Path("/sys/devices/system/cpu").glob("cpu[0-9]*/thermal_throttle/core_throttle_count")
    ]
    known = [int(count) for count in counts if count is not None]
    return sum(known) if known else None


def _load() -> float | None:
    """The load average of the last minute; None if the system has none."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
