"""Peers take turns in a process of their own, and are the same network."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from detforge.deploy.backends.ort import OrtBackend
from detforge.deploy.bench import cli
from detforge.deploy.bench.peer import Peer
from detforge.deploy.bench.report import STAGES, Case, read_report
from detforge.deploy.card import METADATA_KEY, Card
from detforge.deploy.choose import BUNDLED
from detforge.deploy.system.errors import DetforgeError
from detforge.export import bench_peer
from detforge.models.zoo import find

CARD = Card.from_json({p.key: p.value for p in onnx.load(BUNDLED).metadata_props}[METADATA_KEY])


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((64, 96, 3), 128, np.uint8))
    return tmp_path


def test_the_peer_is_the_same_network() -> None:
    network, weights = bench_peer._network(find(CARD.model), CARD)
    assert weights == "gfl_markers.safetensors"
    peer = bench_peer.TorchBackend(network, CARD, "cpu")
    image = {"image": np.random.default_rng(0).standard_normal((1, 3, 64, 96), np.float32)}
    got, expected = peer.run(image), OrtBackend(str(BUNDLED), threads=1).run(image)
    assert {port.name for port in peer.outputs} == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, atol=1e-2 if name == "boxes" else 1e-4)


@pytest.mark.slow
def test_a_run_with_a_peer(photos: Path, capfd: pytest.CaptureFixture[str]) -> None:
    flags = ("--images", str(photos), "--duration", "0.05", "--warmup", "0", "--threads", "1")
    target = photos / "r.json"
    files = ("--json", str(target), "--html", str(photos / "r.html"))
    assert cli.main([*flags, "--model", str(BUNDLED), "--peer", "torch", *files]) == 0
    out, err = capfd.readouterr()
    assert "peer: gfl_markers in eager PyTorch, weights: gfl_markers.safetensors" in err
    report = read_report(target)
    own, peer = report.results
    assert peer.case == Case("gfl_markers.onnx", "torch", "cpu", 1, 1)
    assert all(peer.ms[stage].mean > 0 for stage in STAGES)
    [ratio] = report.ratios()
    assert ratio.e2e == pytest.approx(peer.ms["e2e"].p50 / own.ms["e2e"].p50)
    assert f"takes {ratio.infer:.2f} times as long to infer, {ratio.e2e:.2f} times end to end" in out
    assert f"{ratio.e2e:.2f} times as long" in (photos / "r.html").read_text()


@pytest.mark.slow
def test_a_peer_that_cannot_is_one_line(photos: Path) -> None:
    with pytest.raises(
        DetforgeError, match=r"PyTorch failed; .*cannot be read; No such file.*leave out --peer"
    ) as error:
        Peer(CARD, [str(photos / "none.png")], device="cpu", threads=1).__enter__()
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_a_peer_that_dies_is_one_line(photos: Path) -> None:
    with Peer(CARD, [str(photos / "a.png")], device="cpu", threads=1) as peer:
        peer._process.kill()
        with pytest.raises(DetforgeError, match="the peer in PyTorch failed; it ended with -9"):
            peer.ask({"do": "result"})


def test_the_runtime_does_without_torch() -> None:
    code = "import sys, detforge.deploy.bench.cases; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_random_weights_are_said_to_be(photos: Path) -> None:
    card = json.loads(CARD.to_json())
    card["provenance"] |= {"checkpoint": "mine.pth", "sha256": "0" * 64}
    _, weights = bench_peer._network(find(CARD.model), Card.from_json(json.dumps(card)))
    assert weights == "random, since mine.pth was not found"
