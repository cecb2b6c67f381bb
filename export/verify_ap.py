"""The part of the parity report that needs true boxes: the change of AP."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from ..deploy.backends import open_backend
from ..deploy.card import Card
from ..deploy.detector import Detector
from ..deploy.forms import Decode
from ..deploy.image import read_image
from ..deploy.instances import Instances
from .average_precision import ANNOTATIONS, Truth, average_precision, read_annotations
from .bench_peer import TorchBackend

Track = Callable[[str, Iterable[Any], int], Iterable[Any]]
"""Names a step of so many parts, and hands them on."""

_CONF = 0.01
"""The threshold: AP counts what is found with low scores too."""


def truths_beside(images: str | Path | None, card: Card) -> list[Truth]:
    """The true boxes that lie beside images; InputError when they are not what COCO's annotations are."""
    if images is None or card.task != "detection" or not (Path(images) / ANNOTATIONS).is_file():
        return []
    return read_annotations(Path(images), card.labels)


def compare_ap(
    network: nn.Module, path: Path, card: Card, decode: Decode, truths: Sequence[Truth], backend: str, track: Track
) -> tuple[float, float]:
    """AP in percent of a network, whose outputs `decode` reads, and of its file, on whole images of any size."""
    card = replace(card, suppress=replace(card.suppress, conf=_CONF))
    models = {
        "AP, PyTorch": Detector(TorchBackend(network, card, "cpu"), replace(card, decode=decode)),
        "AP, file": Detector(open_backend(str(path), backend=backend), card),
    }
    before, after = (_measure(model, truths, track, name) for name, model in models.items())
    return before, after


def _measure(model: Detector, truths: Sequence[Truth], track: Track, name: str) -> float:
    found: list[Instances] = [model(read_image(truth.file)) for truth in track(name, truths, len(truths))]
    return average_precision(found, truths)
