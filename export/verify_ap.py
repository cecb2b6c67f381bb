"""The part of the verification that needs annotations: the change of AP."""

from dataclasses import replace
from pathlib import Path

from torch import nn

from ..deploy.backends.open import open_backend
from ..deploy.card import Card
from ..deploy.coco.annotations import Annotations, read_annotations
from ..deploy.coco.evaluation import LEAST_SCORE, Evaluation
from ..deploy.forms import Form
from ..deploy.inputs.image import read_image
from ..deploy.pipelines.detector import Detector
from .bench_peer import TorchBackend
from .progress import Progress

ANNOTATIONS = "annotations.json"
"""Name of the COCO annotation file in a folder of images."""


def annotations_beside(images: str | Path | None, card: Card) -> Annotations | None:
    """Read the annotations in a folder of images; None if there are no annotated objects.

    Raises InputError if they are not in COCO's format, or images are missing.
    """
    if images is None or card.form.has_keypoints or not (Path(images) / ANNOTATIONS).is_file():
        return None
    annotations = read_annotations(Path(images) / ANNOTATIONS, Path(images))
    annotations.check_files()
    return annotations if annotations.object_count else None


def compare_ap(
    network: nn.Module, path: Path, card: Card, form: Form, truth: Annotations, backend: str, progress: Progress
) -> tuple[float, float]:
    """AP in percent of a network with outputs of the form `form`, and of its file, on whole images of any size."""
    card = replace(card, suppress=replace(card.suppress, conf=LEAST_SCORE))
    models = {
        "AP, PyTorch": Detector(TorchBackend(network, card, "cpu"), replace(card, form=form)),
        "AP, file": Detector(open_backend(str(path), backend=backend), card),
    }
    before, after = (_measure(model, truth, progress, name) for name, model in models.items())
    return before, after


def _measure(model: Detector, truth: Annotations, progress: Progress, name: str) -> float:
    evaluation = Evaluation(truth, model.card.labels)
    for image in progress.track(name, truth.images, len(truth.images)):
        evaluation.add(image, model(read_image(image.file)))
    return evaluation.accuracy().ap
