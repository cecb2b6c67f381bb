"""The number of processors available to this process, from its affinity and its cgroup's quota (v1 and v2)."""

import math
import os
import warnings
from pathlib import Path

_OWN = Path("/proc/self/cgroup")
_CGROUPS = Path("/sys/fs/cgroup")


def available_processors() -> int:
    """The number of processors available to this process, at least 1."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota()
    return count if quota is None else max(1, min(count, math.floor(quota)))


def at_most_available(threads: int) -> int:
    """So many threads, or one for each processor where that is fewer: more only take turns. It warns of that."""
    if threads <= (available := available_processors()):
        return threads
    warnings.warn(f"{threads} threads: this process may use {available} processors; it runs {available}", stacklevel=2)
    return available


def cpu_quota() -> float | None:
    """The smallest CPU quota of the process's cgroups, in processors; None without a quota."""
    quotas: list[float] = []
    for group in _groups():
        v1 = (read_system_file(group / "cpu.cfs_quota_us"), read_system_file(group / "cpu.cfs_period_us"))
        quota, period = (read_system_file(group / "cpu.max") or " ".join(filter(None, v1)) or "max 1").split()
        if quota not in ("max", "-1"):
            quotas.append(int(quota) / int(period))
    return min(quotas, default=None)


def throttled_periods() -> int | None:
    """The number of periods in which the cgroup was throttled by its quota; None without a quota."""
    for group in _groups():
        lines = (read_system_file(group / "cpu.stat") or "").splitlines()
        counts = dict(line.split() for line in lines)
        if "nr_throttled" in counts:
            return int(counts["nr_throttled"])
    return None


def _groups() -> list[Path]:
    """The folders that may hold limits: the process's cgroup and its parents (v2), or the root (v1)."""
    lines = (read_system_file(_OWN) or "").splitlines()
    own = [_CGROUPS / line[len("0::/") :] for line in lines if line.startswith("0::/")]
    around = [group for path in own for group in (path, *path.parents) if group.is_relative_to(_CGROUPS)]
    return [*around, *([] if around else [_CGROUPS]), _CGROUPS / "cpu"]


def read_system_file(path: Path) -> str | None:
    """The text of a file in /proc or /sys; None if it does not exist or is not readable."""
    try:
        return path.read_text()
    except OSError:
        return None
