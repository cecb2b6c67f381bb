"""The performance gate: what may be typed, and what it lets pass."""

import argparse
from dataclasses import replace

import pytest
from bench.reports import CASE, result

from detforge.deploy.bench.gate import Gate, LatencyGate, misses, parse_gate
from detforge.deploy.bench.report import Latency
from detforge.deploy.coco.accuracy import Accuracy

BASE = Latency(mean=10.0, p50=20.0, p90=30.0, p99=40.0)


@pytest.mark.parametrize(
    ("text", "stage", "limit"),
    [
        ("p99>+10%", "e2e", 44.0),
        ("mean>+2ms", "e2e", 12.0),
        ("infer.p50>+0%", "infer", 20.0),
        ("post.p90>+0.5ms", "post", 30.5),
        ("decode.mean>+100%", "decode", 20.0),
        ("pre.p90>7ms", "pre", 7.0),
        ("e2e.p99 > 7.25 ms", "e2e", 7.25),
        (" p90 > + 10 %", None, None),
        (" p90 > +10 % ", "e2e", 33.0),
    ],
)
def test_gates_that_can_be_typed(text: str, stage: str | None, limit: float | None) -> None:
    if stage is None:
        with pytest.raises(argparse.ArgumentTypeError):
            parse_gate(text)
        return
    gate = parse_gate(text)
    assert isinstance(gate, LatencyGate)
    assert gate.stage == stage
    assert gate.limit(BASE) == pytest.approx(limit, rel=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "p99",
        "p99>10",
        "p99>10%",  # of what
        "p99>+ms",
        "p99<+10%",
        "p99>-10%",
        "p99>=+10%",
        "p95>+10%",
        "fps>+10%",
        "nms.p99>+10%",
        "infer>+10%",
        ".p99>+10%",
        "p99>+1e3%",
        "p99>+nan%",
        "p99>+10%\n",
        "p99>+10%,p50>+1%",
        "p99>+9999999999ms",
        "ap>1",
        "ap<+1",
        "ap<-1%",
        "ap95<1",
        "e2e.ap<1",
    ],
)
def test_gates_that_cannot(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"p99>\+10%"):
        parse_gate(text)


def gates(*texts: str) -> list[Gate]:
    return [parse_gate(text) for text in texts]


def test_what_is_above_the_limit_misses_and_what_is_on_it_does_not() -> None:
    base = {CASE: result()}
    slower = [result(factor=1.5)]
    assert misses(gates("p99>+50%", "infer.mean>+1.5ms", "pre.p50>18ms"), slower, base) == []
    found = misses(gates("p99>+49%", "infer.mean>+1.4ms", "pre.p50>17.9ms"), slower, base)
    assert found == [
        "gfl.onnx on ort cpu, batch 1: e2e.p99 is 52.500 ms; p99>+49% allows 52.150 ms",
        "gfl.onnx on ort cpu, batch 1: infer.mean is 4.500 ms; infer.mean>+1.4ms allows 4.400 ms",
        "gfl.onnx on ort cpu, batch 1: pre.p50 is 18.000 ms; pre.p50>17.9ms allows 17.900 ms",
    ]


def test_what_the_base_lacks_is_held_to_limits_by_themselves_only() -> None:
    new = result(replace(CASE, batch=8, streams=2))
    found = misses(gates("p99>+0%", "p99>1ms"), [new], {CASE: result()})
    assert found == ["gfl.onnx on ort cpu, batch 8, 2 streams: e2e.p99 is 35.000 ms; p99>1ms allows 1.000 ms"]


def test_ap_is_held_to_the_first_model_and_to_limits_by_itself() -> None:
    first, second, peer = (result(replace(CASE, model=name)) for name in ("a.onnx", "b.onnx", "peer"))
    first = replace(first, accuracy=Accuracy(40.0, 60.0, 50.0, "boxes", {}))
    second = replace(second, accuracy=Accuracy(39.5, 59.0, 50.0, "boxes", {}))
    results = [peer, first, second]
    assert misses(gates("ap<-0.5", "ap < 39.5", "ap75<-0", "ap50<59"), results, {}) == []
    assert misses(gates("ap<-0.4", "ap50<59.5"), results, {}) == [
        "b.onnx on ort cpu, batch 1: ap is 39.50 %; ap<-0.4 allows 39.60 %",
        "b.onnx on ort cpu, batch 1: ap50 is 59.00 %; ap50<59.5 allows 59.50 %",
    ]
