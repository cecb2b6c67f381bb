"""The processors that a container leaves to this process."""

from pathlib import Path

import pytest

from detforge.deploy.system import processors


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty tree of cgroups, with eight processors below it."""
    monkeypatch.setattr(processors, "_CGROUPS", tmp_path)
    monkeypatch.setattr(processors, "_OWN", tmp_path / "own")
    monkeypatch.setattr(processors.os, "sched_getaffinity", lambda _: range(8), raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "count"), [("300000 100000", 3), ("50000 100000", 1), ("max 100000", 8), ("9900000 100000", 8)]
)
def test_a_quota_of_cgroup_v2_bounds_the_count(groups: Path, text: str, count: int) -> None:
    (groups / "own").write_text("0::/job\n")
    (groups / "job").mkdir()
    (groups / "job" / "cpu.max").write_text(text)
    assert processors.available_processors() == count


@pytest.mark.parametrize(
    ("outer", "inner", "count"), [("200000", "max", 2), ("200000", "500000", 2), ("max", "300000", 3)]
)
def test_the_tightest_quota_around_the_process_counts(groups: Path, outer: str, inner: str, count: int) -> None:
    (groups / "own").write_text("0::/slice/job\n")
    (groups / "slice" / "job").mkdir(parents=True)
    (groups / "slice" / "cpu.max").write_text(f"{outer} 100000")
    (groups / "slice" / "job" / "cpu.max").write_text(f"{inner} 100000")
    assert processors.available_processors() == count


@pytest.mark.parametrize(
    ("files", "quota", "throttled"),
    [
        ({"cpu.max": "150000 100000\n", "cpu.stat": "usage_usec 5\nnr_periods 9\nnr_throttled 7\n"}, 1.5, 7),
        ({"cpu.max": "max 100000\n", "cpu.stat": "usage_usec 5\n"}, None, None),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2.0, None),
        (
            {
                "cpu/cpu.cfs_quota_us": "-1\n",
                "cpu/cpu.cfs_period_us": "100000\n",
                "cpu/cpu.stat": "nr_periods 0\nnr_throttled 3\nthrottled_time 0\n",
            },
            None,
            3,
        ),
        ({}, None, None),
    ],
    ids=["v2", "v2 without limit", "v1", "v1 without limit", "none"],
)
def test_quota_and_throttling_of_both_cgroup_versions(
    files: dict[str, str],
    quota: float | None,
    throttled: int | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(processors, "_CGROUPS", tmp_path)
    monkeypatch.setattr(processors, "_OWN", tmp_path / "own")
    assert processors.cpu_quota() == quota
    assert processors.throttled_periods() == throttled
