"""Performance gates: limits on a latency."""

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .report import METRICS, STAGES, Case, Latency, Result

_GATE = re.compile(
    rf" *(?:({'|'.join(STAGES)})\.)?({'|'.join(METRICS)}) *> *(\+?)([0-9]{{1,9}}(?:\.[0-9]{{1,9}})?) *(%|ms) *"
)


@dataclass(frozen=True)
class Gate:
    """A limit on one metric of one stage.

    `p99>+10%` and `p99>+2ms` are relative to the base report; `p99>20ms` is absolute. The default stage is e2e.
    """

    text: str
    stage: str
    metric: str
    amount: float
    percent: bool
    over_base: bool

    def limit(self, base: Latency | None) -> float:
        """The limit in milliseconds; `base` is the latency of this gate's stage, which an absolute limit ignores."""
        if base is None or not self.over_base:
            return self.amount
        before = getattr(base, self.metric)
        return before * (1 + self.amount / 100) if self.percent else before + self.amount


def parse_gate(text: str) -> Gate:
    """Parse a gate from the command line. Raises argparse.ArgumentTypeError if the text is no gate."""
    match = _GATE.fullmatch(text)
    if match is None or (match[5] == "%" and not match[3]):
        raise argparse.ArgumentTypeError(
            f"'{text}' is not a gate like p99>+10%, infer.p50>+2ms or mean>20ms "
            f"(stages {', '.join(STAGES)}; metrics {', '.join(METRICS)})"
        )
    stage, metric, plus, amount, unit = match.groups()
    return Gate(text.strip(), stage or "e2e", metric, float(amount), unit == "%", plus == "+")


def misses(gates: Sequence[Gate], results: Sequence[Result], base: Mapping[Case, Result]) -> list[str]:
    """A message for each result and gate that it fails. Relative gates skip cases that the base lacks."""
    found: list[str] = []
    for result in results:
        before = base.get(result.case)
        for gate in gates:
            if gate.over_base and before is None:
                continue
            value = getattr(result.ms[gate.stage], gate.metric)
            limit = gate.limit(before.ms[gate.stage] if before else None)
            if value > limit:
                found.append(
                    f"{result.case}: {gate.stage}.{gate.metric} is {value:.3f} ms; {gate.text} allows {limit:.3f} ms"
                )
    return found
