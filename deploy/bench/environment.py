"""On what a benchmark ran, and what may have disturbed it."""

import contextlib
import os
import platform
import shutil
import subprocess
from importlib import metadata as packages
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..processors import available_processors, cpu_quota, read_system_file, throttled_periods


class Watch:
    """Notes the machine's load and throttling from its making to `environment`."""

    def __init__(self) -> None:
        self._load = _load()
        self._throttled = throttled_periods()

    def environment(self, threads: int) -> dict[str, Any]:
        """What the report says of the machine, as JSON; None is what the system does not tell."""
        throttled = throttled_periods()
        seen = None if throttled is None or self._throttled is None else throttled - self._throttled
        return {
            "cpu": _cpu(),
            "processors": available_processors(),
            "cpu_quota": cpu_quota(),
            "gpus": _gpus(),
            "threads": threads,
            "versions": _versions(),
            "load_at_start": self._load,
            "load_at_end": _load(),
            "throttled_periods": seen,
        }


def reset_peak_memory() -> None:
    """Let `peak_memory` start anew, on Linux."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # see proc(5): resets the high-water mark


def peak_memory() -> float | None:
    """The most resident memory since `reset_peak_memory`, in MiB; None where the system does not tell."""
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
        return []  # the tool without its driver
    return answer.stdout.split("\n")[:-1]


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "numpy": np.__version__, "opencv": cv2.__version__}
    for name in ("detforge", "onnxruntime", "onnxruntime-gpu"):
        with contextlib.suppress(packages.PackageNotFoundError):
            versions[name] = packages.version(name)
    return versions


def _load() -> float | None:
    """The mean number of runnable processes in the last minute."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
