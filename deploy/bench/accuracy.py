"""The accuracy of each model and backend on annotated images."""

import argparse
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..backends.open import ready
from ..card import Card
from ..coco.annotations import AnnotatedImage, Annotations, read_annotations
from ..coco.evaluation import LEAST_SCORE, Evaluation
from ..inputs.geometry import Image
from ..inputs.image import read_image
from ..loader import load
from ..pipelines.annotated import find_annotated
from ..system.errors import InputError, UsageError
from ..system.overlap import ahead
from .gate import AccuracyGate
from .measure import Timer
from .report import Case


@dataclass(frozen=True)
class Examination:
    """A model on a backend that detects in every annotated image. The batch size does not matter."""

    case: Case
    card: Card
    annotations: Annotations
    evaluation: Evaluation

    def run(self, file: Path, threads: int | None, advance: Callable[[float], object]) -> None:
        """Detect with a low score threshold. Raises InputError for an image that cannot be read."""
        device, backend = self.case.device, self.case.backend
        opened = str(ready(file, backend, device))
        model = load(opened, backend=backend, device=device, threads=threads, conf=self._conf())
        for image, pixels in ahead(_read(self.annotations.images), 2):
            self.evaluation.add(image, find_annotated(model, self.annotations, image, pixels))
            advance(1)

    def _conf(self) -> float:
        conf, form = min(self.card.suppress.conf, LEAST_SCORE), self.card.form
        return max(conf, form.least_conf) if form.suppresses else conf


def read_truth(arguments: argparse.Namespace) -> Annotations | None:
    """The annotations of --annotations. Raises InputError if images are missing."""
    if arguments.annotations is not None:
        truth = read_annotations(arguments.annotations, arguments.images)
        truth.check_files()
        return truth
    gates = [gate for gate in arguments.fail_if if isinstance(gate, AccuracyGate)]
    useless = {"--per-class": arguments.per_class, "--coco-results": arguments.coco_results, "--fail-if ap": gates}
    for flag, value in useless.items():
        if value:
            raise UsageError(f"{flag} needs annotated images; give --annotations FILE and --images DIR")
    return None


def examinations(
    arguments: argparse.Namespace, timers: Sequence[Timer], annotations: Annotations | None
) -> list[Examination]:
    """One for each model, backend and device. Raises InputError if the annotations do not fit a model."""
    found: dict[tuple[str, str, str], Examination] = {}
    if annotations is None:
        return []
    for timer in timers:
        case, card = timer.case, timer.card
        evaluation = Evaluation(annotations, card.labels, card.reported_skeleton)
        if card.form.runs_on == "crops" and evaluation.of == "boxes":
            raise InputError(
                f"{annotations.path}: no keypoints are annotated, and {case.model} finds keypoints in given boxes; "
                "annotate them, or choose a detector"
            )
        found.setdefault(case.setup, Examination(case, card, annotations, evaluation))
    if arguments.coco_results is not None and len(found) > 1:
        raise UsageError("--coco-results holds the detections of one model on one backend; measure one at a time")
    relative = [gate for gate in arguments.fail_if if isinstance(gate, AccuracyGate) and gate.below_first]
    if relative and len(found) == 1:
        raise UsageError(f"--fail-if '{relative[0].text}' is relative to the first model; give a second --model")
    return list(found.values())


def _read(images: Sequence[AnnotatedImage]) -> Generator[tuple[AnnotatedImage, Image]]:
    for image in images:
        yield image, read_image(image.file)
