"""detbench --ops on a GPU, which the CPU plays here."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from emulator.build import build

from detforge.export import bench_ops


@pytest.mark.slow
def test_the_kernel_is_measured_against_torch_and_a_copy(tmp_path: Path) -> None:
    shapes = [(1, 16, 6, 7), (1, 18, 6, 7), (16, 16, 3, 3), (16,)]
    small = replace(
        next(workload for workload in bench_ops.WORKLOADS if workload.op == "DeformConv"),
        inputs=lambda rng: tuple(rng.standard_normal(shape, np.float32) for shape in shapes),
    )
    ways = bench_ops.ways_on_gpu(small, small.inputs(np.random.default_rng(0)), build(tmp_path), "cpu")
    assert [*ways] == ["kernel", "torch", "copy", "plain convolution"]
    torch.testing.assert_close(ways["kernel"](), ways["torch"](), atol=1e-4, rtol=1e-4)
    results = bench_ops.measure(small, ways, 0.01)
    assert [row.way for row in results] == [*ways]
    assert results[0].ratio == 1
