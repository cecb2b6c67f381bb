"""The performance gate: which latency may not exceed what."""

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
    """`p99>+10%` and `p99>+2ms` are over the base, `p99>20ms` is a limit by itself; the stage is e2e by default."""

    text: str
    stage: str
    metric: str
    amount: float
    percent: bool
    over_base: bool

    def limit(self, base: Latency | None) -> float:
        """The most milliseconds allowed; `base` is of this gate's stage, and not used by a limit by itself."""
        if base is None or not self.over_base:
            return self.amount
        before = getattr(base, self.metric)
        return before * (1 + self.amount / 100) if self.percent else before + self.amount


def parse_gate(text: str) -> Gate:
    """A gate as it is typed; argparse.ArgumentTypeError says what is allowed."""
    match = _GATE.fullmatch(text)
    if match is None or (match[5] == "%" and not match[3]):
        raise argparse.ArgumentTypeError(
            f"'{text}' is not like p99>+10%, infer.p50>+2ms or mean>20ms "
            f"(stages {', '.join(STAGES)}; metrics {', '.join(METRICS)})"
        )
    stage, metric, plus, amount, unit = match.groups()
    return Gate(text.strip(), stage or "e2e", metric, float(amount), unit == "%", plus == "+")


def misses(gates: Sequence[Gate], results: Sequence[Result], base: Mapping[Case, Result]) -> list[str]:
    """What each result that fails a gate has to say; a gate over the base skips what the base lacks."""
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
