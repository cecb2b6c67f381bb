"""The slowest nodes: of a network whose nodes are known, and whose slowest one is."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from detforge.deploy.backends.node_times import NodeTime, mean_times
from detforge.deploy.backends.ort import OrtBackend
from detforge.deploy.bench import cli
from detforge.deploy.bench.measure import find_images, read_images
from detforge.deploy.bench.nodes import node_times
from detforge.deploy.bench.report import read_report
from detforge.deploy.system.errors import IncompatibleError


def test_the_first_run_does_not_count() -> None:
    times = {("a", "Conv"): [100.0, 1.0, 2.0], ("b", "Relu"): [5.0, 3.0, 3.0], ("c", "Add"): [1.0]}
    assert mean_times(times) == [NodeTime("b", "Relu", 3.0), NodeTime("a", "Conv", 1.5)]


def test_every_node_of_a_session_is_timed(color_model: Path) -> None:
    backend = OrtBackend(str(color_model), threads=1, profile=True)
    for _ in range(3):
        backend.run({"image": np.zeros((1, 3, 64, 64), np.float32)})
    times = backend.node_times()
    assert {"AveragePool", "Transpose"} <= {node.op for node in times}
    assert [node.ms for node in times] == sorted((node.ms for node in times), reverse=True)


def test_the_flag_brings_them_into_every_report(
    color_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((64, 64, 3), np.uint8))
    flags = ("--images", str(tmp_path), "--duration", "0.05", "--warmup", "0", "--profile-layers", "--batch", "1,2")
    assert cli.main([*flags, "--model", str(color_model), "--json", str(tmp_path / "r.json")]) == 0
    assert capfd.readouterr().out.count("slowest nodes, colors.onnx on ort cpu, batch") == 2
    for result in read_report(tmp_path / "r.json").results:
        assert "AveragePool" in {node.op for node in result.nodes}


def test_a_backend_that_does_not_tell_is_refused(color_model: Path) -> None:
    images = read_images(find_images(cli.IMAGES))
    with pytest.raises(IncompatibleError, match=r"tensorrt cannot profile nodes; use --backend ort or openvino"):
        node_times(color_model, "tensorrt", device="cuda:0", threads=1, batch=1, images=images)
