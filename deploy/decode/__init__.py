"""Network outputs to candidates: one file per form of output, chosen by the Card's `decode.kind`."""

from ..backends import Arrays
from ..card import Card, DenseDecode
from . import dense, graph
from .candidates import Candidates

READS = {"dense": frozenset({"boxes", "scores"}), "graph": frozenset({"boxes", "scores", "labels", "num"})}
"""The outputs that each decoder needs; `dense` also uses `quality` where there is one."""


def decode(outputs: Arrays, card: Card, canvas: tuple[int, int]) -> Candidates:
    """One image's outputs, without the batch axis, on a canvas of (height, width) px."""
    if isinstance(card.decode, DenseDecode):
        return dense.decode(outputs, card.decode, card.fusion, card.suppress.conf, canvas)
    return graph.decode(outputs, card.suppress.conf)
