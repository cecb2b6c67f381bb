"""Reports with known figures, for the tests."""

from detforge.deploy.bench.report import SCHEMA, STAGES, BenchmarkReport, Case, Latency, Result

CASE = Case("gfl.onnx", "ort", "cpu", 1, 1)
ENVIRONMENT = {
    "cpu": "Some [bold] CPU",
    "processors": 2,
    "cpu_quota": 1.5,
    "gpus": ["Some GPU"],
    "threads": 2,
    "versions": {"python": "3.11.7"},
    "load_at_start": 0.5,
    "load_at_end": 1.5,
    "throttled_periods": 3,
    "thermal_events": 2,
    "processors_beside": 0.25,
    "processors_stolen": 0.0,
}
SETTINGS = {"models": {"gfl.onnx": "exports/gfl.onnx"}, "images": {"folder": "photos", "count": 3}, "duration_s": 10.0}


def result(case: Case = CASE, factor: float = 1.0, peak_mib: float | None = 210.5) -> Result:
    """Stage number i takes i + 1 ms in the mean, and 10, 20 and 30 more at p50, p90, p99; all times `factor`."""
    ms = {stage: Latency(*((i + 1 + more) * factor for more in (0, 10, 20, 30))) for i, stage in enumerate(STAGES)}
    e2e_ms = tuple((5 + i % 7 + 10 * (i % 19 == 0)) * factor for i in range(42))
    return Result(case, 42, ms, 123.25 / factor, 98.5 / factor, peak_mib, e2e_ms)


def report(*results: Result) -> BenchmarkReport:
    return BenchmarkReport(ENVIRONMENT, SETTINGS, results or (result(),), SCHEMA)
