"""A report's way to JSON and back, to CSV and to the eye."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bench.reports import CASE, report, result

from detforge.deploy.bench.report import METRICS, STAGES, read_report, to_csv
from detforge.deploy.bench.table import Printer
from detforge.deploy.system.errors import InputError


def test_round_trip(tmp_path: Path) -> None:
    before = report(result(factor=1 / 3), result(replace(CASE, model="猫.onnx", batch=8), peak_mib=None))
    path = tmp_path / "a.json"
    path.write_text(before.to_json(), encoding="utf-8-sig")
    assert read_report(path) == before


def test_json_has_what_is_documented() -> None:
    data = json.loads(report().to_json())
    assert data["schema"] == 2
    assert data["results"][0]["case"] == {
        "model": "gfl.onnx",
        "backend": "ort",
        "device": "cpu",
        "batch": 1,
        "streams": 1,
    }
    assert list(data["results"][0]["ms"]) == list(STAGES)
    assert data["results"][0]["ms"]["e2e"] == {"mean": 5.0, "p50": 15.0, "p90": 25.0, "p99": 35.0}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("schema", ...),
        ("schema", 1),
        ("schema", 3),
        ("schema", True),
        ("results", {}),
        ("results", [3]),
        ("environment", []),
        ("settings", None),
        ("results.0.case", ...),
        ("results.0.case.model", 3),
        ("results.0.case.batch", 1.5),
        ("results.0.batches", "many"),
        ("results.0.ms.infer", ...),
        ("results.0.ms.infer.p99", None),
        ("results.0.ms.infer.p99", float("nan")),
        ("results.0.ms.infer.p99", float("inf")),
        ("results.0.e2e_fps", "1"),
        ("results.0.peak_mib", []),
    ],
)
def test_malformed_reports_are_refused_by_name(path: str, value: Any, tmp_path: Path) -> None:
    data: Any = json.loads(report().to_json())
    *parents, name = path.split(".")
    place = data
    for parent in parents:
        place = place[int(parent)] if parent.isdigit() else place[parent]
    if value is ...:
        del place[name]
    else:
        place[name] = value
    file = tmp_path / "base.json"
    file.write_text(json.dumps(data))
    with pytest.raises(InputError, match=rf"base\.json.*field '(.*\.)?({name}|results\.ms|results\[0\])'"):
        read_report(file)


@pytest.mark.parametrize("content", [b"", b"[]", b"3", b"null", b"{", b"\xff\xfe", b"[" * 100_000])
def test_files_that_are_no_report_are_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "base.json"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"base\.json"):
        read_report(file)


def test_a_report_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_report(tmp_path / "base.json")


def test_csv_has_a_line_for_each_case_and_stage() -> None:
    results = [result(), result(replace(CASE, model='a,"b".onnx'), peak_mib=None)]
    rows = list(csv.DictReader(io.StringIO(to_csv(results))))
    assert [(row["model"], row["stage"]) for row in rows] == [
        (one.case.model, stage) for one in results for stage in STAGES
    ]
    for row, expected in zip(rows, [one.ms[stage] for one in results for stage in STAGES], strict=True):
        assert [float(row[f"{metric}_ms"]) for metric in METRICS] == [getattr(expected, m) for m in METRICS]
    assert [row["fps"] for row in rows[:5]] == ["", "", "123.25", "", "98.5"]
    assert {row["peak_mib"] for row in rows[5:]} == {""}


@pytest.mark.parametrize("columns", ["20", "80", "300"])
def test_the_table_cuts_no_figure_and_holds_no_colour(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", columns)
    long = "m" * 120 + "[red].onnx"
    stream = io.StringIO()
    Printer(stream).report(report(result(), result(replace(CASE, model=long), factor=1000.0)))
    text = stream.getvalue()
    rows = [line.split() for line in text.splitlines()]
    assert ["gfl.onnx", "decode", "1.00", "11.00", "21.00", "31.00"] in rows
    assert ["batch", "1", "infer", "3.00", "13.00", "23.00", "33.00", "123.2"] in rows
    assert [
        "process",
        "peak",
        "210",
        "MiB",
        "end",
        "to",
        "end",
        "5000.00",
        "15000.00",
        "25000.00",
        "35000.00",
        "0.1",
    ] in rows
    assert text.count("m") >= 120 and "[red].onnx" in "".join(text.split())
    assert "Some [bold] CPU, 2 processors, quota 1.5, 2 threads used" in text
    assert "\x1b" not in text and "…" not in text


def test_the_comparison_shows_changes_of_what_both_have() -> None:
    stream = io.StringIO()
    new = result(replace(CASE, model="new.onnx"))
    Printer(stream).comparison([result(factor=1.25), new], {CASE: result()}, "base.json")
    rows = [line.split() for line in stream.getvalue().splitlines()]
    assert ["gfl.onnx", "decode", "+25.0", "+25.0", "+25.0", "+25.0"] in rows
    assert ["batch", "1", "infer", "+25.0", "+25.0", "+25.0", "+25.0", "-20.0"] in rows
    assert "new.onnx" not in stream.getvalue()
