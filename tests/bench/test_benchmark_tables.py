"""The committed tables of benchmarks are what their script makes of the committed figures."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmark_tables", DOCS / "benchmarks.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_up_to_date(script: ModuleType) -> None:
    committed = script.DOCUMENT.read_text(encoding="utf-8")
    assert committed == script.filled(committed), "run: python docs/benchmarks.py"


def test_a_table_by_hand(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"way": "ours", "ms": 1.234, "ratio": 1.0, "result": "4 stay"}]
    rows += [{"way": "theirs", "ms": 252.4, "ratio": 17.26, "result": ""}]
    facts = {"cpu": "Abacus", "threads": 2, "processors_beside": 0.5, "versions": {"detforge": "1", "numpy": "2.4"}}
    report = {"tables": [{"title": "boxes", "rows": rows}], "environment": facts, "settings": {"rounds": 9}}
    (tmp_path / "nms.json").write_text(json.dumps(report))
    monkeypatch.setattr(script, "FIGURES", tmp_path)
    text = script.filled("before\n<!-- nms -->\nold\n<!-- end -->\nafter\n")
    assert text.splitlines() == [
        *("before", "<!-- nms -->", "", "| | way | ms | times ours | |", "|---|---|---|---|---|"),
        "| boxes | ours | 1.23 | 1.00 | 4 stay |",
        "|  | theirs | 252 | 17.3 |  |",
        "",
        "Medians of 9 rounds on 2 threads of Abacus; other processes used 0.5 processors; numpy 2.4.",
        *("", "<!-- end -->", "after"),
    ]
    with pytest.raises(KeyError, match="no place for nms"):
        script.filled("nothing")
