"""What the nodes of a network take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class NodeTime:
    """What one node of the network takes in a run, in ms; its `op` as the runtime calls it."""

    name: str
    op: str
    ms: float


def mean_times(times: Mapping[tuple[str, str], Sequence[float]]) -> list[NodeTime]:
    """The mean of each node's times, by name and op, but for those of the first run; the slowest comes first."""
    means = [NodeTime(*key, sum(ms[1:]) / (len(ms) - 1)) for key, ms in times.items() if len(ms) > 1]
    return sorted(means, key=lambda node: -node.ms)
