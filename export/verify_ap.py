"""The part of the verification that needs true boxes: the change of AP."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import nn

from ..deploy.backends.open import open_backend
from ..deploy.card import Card
from ..deploy.forms import Form
from ..deploy.inputs.image import read_image
from ..deploy.pipelines.detector import Detector
from ..deploy.results.instances import Instances
from .average_precision import ANNOTATIONS, Truth, average_precision, read_annotations
from .bench_peer import TorchBackend
from .progress import Progress

_CONF = 0.01
"""Score threshold. AP counts detections with low scores too."""


def truths_beside(images: str | Path | None, card: Card) -> list[Truth]:
    """Read the true boxes in a folder of images; an empty list without annotations.

    Raises InputError if the annotations are not in COCO's format.
    """
    if images is None or card.form.has_keypoints or not (Path(images) / ANNOTATIONS).is_file():
        return []
    return read_annotations(Path(images), card.labels)


def compare_ap(
    network: nn.Module, path: Path, card: Card, form: Form, truths: Sequence[Truth], backend: str, progress: Progress
) -> tuple[float, float]:
    """AP in percent of a network with outputs of the form `form`, and of its file, on whole images of any size."""
    card = replace(card, suppress=replace(card.suppress, conf=_CONF))
    models = {
        "AP, PyTorch": Detector(TorchBackend(network, card, "cpu"), replace(card, form=form)),
        "AP, file": Detector(open_backend(str(path), backend=backend), card),
    }
    before, after = (_measure(model, truths, progress, name) for name, model in models.items())
    return before, after


def _measure(model: Detector, truths: Sequence[Truth], progress: Progress, name: str) -> float:
    found: list[Instances] = [model(read_image(truth.file)) for truth in progress.track(name, truths, len(truths))]
    return average_precision(found, truths)
