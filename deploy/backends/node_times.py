"""Times of the nodes of a network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class NodeTime:
    """The mean time of one node in a run, in ms. `op` is the runtime's name of the operator."""

    name: str
    op: str
    ms: float


def mean_times(times: Mapping[tuple[str, str], Sequence[float]]) -> list[NodeTime]:
    """The mean time of each node, the slowest first. `times` is by (name, op); the first run is left out."""
    means = [NodeTime(*key, sum(ms[1:]) / (len(ms) - 1)) for key, ms in times.items() if len(ms) > 1]
    return sorted(means, key=lambda node: -node.ms)
