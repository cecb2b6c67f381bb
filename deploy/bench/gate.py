"""Gates: limits on a latency or an accuracy."""

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .report import ACCURACY, METRICS, STAGES, Case, Latency, Result, first_accuracy

_NUMBER = r"([0-9]{1,9}(?:\.[0-9]{1,9})?)"
_LATENCY = re.compile(rf" *(?:({'|'.join(STAGES)})\.)?({'|'.join(METRICS)}) *> *(\+?){_NUMBER} *(%|ms) *")
_ACCURACY = re.compile(rf" *({'|'.join(ACCURACY)}) *< *(-?){_NUMBER} *")


@dataclass(frozen=True)
class LatencyGate:
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

    def miss(self, result: Result, base: Result | None) -> str | None:
        """A message if the result fails the gate. A relative gate skips a case that the base lacks."""
        if self.over_base and base is None:
            return None
        value = getattr(result.ms[self.stage], self.metric)
        limit = self.limit(base.ms[self.stage] if base else None)
        if value <= limit:
            return None
        return f"{result.case}: {self.stage}.{self.metric} is {value:.3f} ms; {self.text} allows {limit:.3f} ms"


@dataclass(frozen=True)
class AccuracyGate:
    """A limit on the AP in percent.

    `ap<-0.5` fails if a model loses more than 0.5 against the first one of the run; `ap50<60` is absolute.
    """

    text: str
    metric: str
    amount: float
    below_first: bool

    def miss(self, result: Result, first: float) -> str | None:
        """A message if the result fails the gate; `first` is the first model's value."""
        if result.accuracy is None:
            return None
        value = getattr(result.accuracy, self.metric)
        limit = first - self.amount if self.below_first else self.amount
        if value >= limit:
            return None
        return f"{result.case}: {self.metric} is {value:.2f} %; {self.text} allows {limit:.2f} %"


Gate = LatencyGate | AccuracyGate


def parse_gate(text: str) -> Gate:
    """Parse a gate from the command line. Raises argparse.ArgumentTypeError if the text is no gate."""
    if (match := _ACCURACY.fullmatch(text)) is not None:
        metric, minus, amount = match.groups()
        return AccuracyGate(text.strip(), metric, float(amount), minus == "-")
    match = _LATENCY.fullmatch(text)
    if match is None or (match[5] == "%" and not match[3]):
        raise argparse.ArgumentTypeError(
            f"'{text}' is not a gate like p99>+10%, infer.p50>+2ms, mean>20ms, ap<-0.5 or ap50<60 "
            f"(stages {', '.join(STAGES)}; metrics {', '.join((*METRICS, *ACCURACY))})"
        )
    stage, metric, plus, amount, unit = match.groups()
    return LatencyGate(text.strip(), stage or "e2e", metric, float(amount), unit == "%", plus == "+")


def misses(gates: Sequence[Gate], results: Sequence[Result], base: Mapping[Case, Result]) -> list[str]:
    """A message for each result and gate that it fails."""
    first = first_accuracy(results)
    found = [
        gate.miss(result, base.get(result.case))
        if isinstance(gate, LatencyGate)
        else gate.miss(result, getattr(first, gate.metric, 0.0))
        for result in results
        for gate in gates
    ]
    return [message for message in found if message is not None]
