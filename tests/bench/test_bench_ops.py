"""detbench --ops measures alternatives that give the same answer, and says what it cannot do."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from detforge.deploy.bench.cli import main
from detforge.export import bench_ops


@pytest.mark.slow
@pytest.mark.parametrize("workload", bench_ops.WORKLOADS, ids=lambda workload: workload.name)
def test_alternatives_agree(workload: bench_ops.Workload, tmp_path) -> None:
    ways = bench_ops.ways_to_run(workload, workload.inputs(np.random.default_rng(0)), 2, tmp_path)
    expected = ways.pop("torch")().numpy()
    ways.pop("plain Conv", None)  # does less: it is the bound
    assert {"kernel", "function"} <= set(ways)
    for way in ways.values():
        (result,) = way().values()
        np.testing.assert_allclose(result, expected, atol=1e-3, rtol=1e-4)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_ops.main(["--device", "cuda:0"]) == 4
    assert capsys.readouterr().err.count("\n") == 1


def test_report(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    small = replace(bench_ops.WORKLOADS[1], inputs=lambda rng: (rng.standard_normal((1, 2, 4, 128), np.float32),))
    monkeypatch.setattr(bench_ops, "WORKLOADS", (small,))
    assert bench_ops.main(["--threads", "1", "--duration", "0.01", "--json", "-"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [row["way"] for row in report["results"]] == ["kernel", "function", "torch", "shifted maxima"]
    assert report["results"][0]["ratio"] == 1
    assert all(row["ms"] > 0 for row in report["results"])


def test_flags_of_models_have_no_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--ops", "--streams", "2"]) == 2
    assert "--streams has no effect with --ops" in capsys.readouterr().err
