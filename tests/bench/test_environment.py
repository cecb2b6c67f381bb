"""What is said of the machine: from files as Linux writes them, with figures that follow by hand."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from detforge.deploy.bench import environment


def machine(monkeypatch: pytest.MonkeyPatch, busy: int, stolen: int, own: float, hot: int, now: float) -> None:
    """As many ticks of 10 ms, seconds of this process, and times too hot."""
    stat = f"cpu  {busy} 100 0 5000 77 0 0 {stolen} 0 0\ncpu0 1 1 1 1\n"
    monkeypatch.setattr(environment, "read_system_file", lambda path: stat if path == Path("/proc/stat") else None)
    monkeypatch.setattr(environment.os, "sysconf", lambda _: 100)
    monkeypatch.setattr(environment.os, "times", lambda: (own, 0.0, 0.0, 0.0, 99.0))
    monkeypatch.setattr(environment, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(environment, "_thermal_events", lambda: hot)


def test_processors_beside_and_stolen_follow_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, busy=1000, stolen=50, own=2.0, hot=7, now=100.0)
    watch = environment.Watch()
    machine(monkeypatch, busy=4000, stolen=250, own=12.0, hot=9, now=110.0)
    facts = watch.environment(2)
    # 30 s of work in 10 s, 10 of them ours; 2 s stolen.
    assert (facts["processors_beside"], facts["processors_stolen"], facts["thermal_events"]) == (2.0, 0.2, 2)
    lines = dict(environment.describe(facts))
    assert lines["others"] == "other processes used 2.0 processors, other guests of the host 0.2"
    assert "2 times by heat" in lines["throttled"]


def test_a_system_that_tells_nothing_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "read_system_file", lambda _: None)
    facts = environment.Watch().environment(1)
    assert facts["processors_beside"] is None and facts["processors_stolen"] is None
    assert {"cpu", "versions"} <= dict(environment.describe(facts)).keys()
    assert "others" not in dict(environment.describe(facts))
