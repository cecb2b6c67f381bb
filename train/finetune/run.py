"""Fine-tuning from the choice of the network to the checkpoint that detexport takes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import nn

from ...deploy.card import Card, Provenance
from ...deploy.coco.accuracy import Accuracy
from ...deploy.coco.annotations import Annotations, read_annotations
from ...deploy.forms import Heatmaps
from ...deploy.system.errors import AbsentError, IncompatibleError, InputError, UsageError
from ...deploy.system.files import check_place, replacing
from ...deploy.system.overlap import ahead
from ...export.labels import labels_of, skeleton_of
from ...export.options import ExportOptions
from ...export.source import Source, choose, load_weights
from ...models.checkpoint import Checkpoint
from ...models.detector import DenseDetector
from ...models.variant import Variant
from ..dense import LOSSES
from ..fit import Training, progress_bar, shown
from .detection import DetectionTask
from .network import config_text, dataset_of, keypoints_of, recounted, save, with_classes
from .options import FinetuneOptions
from .pose import METHODS, PoseTask

_EVERY = 10
"""One of so many images is held out if there are no others to evaluate with."""


def finetune(asked: FinetuneOptions, say: Callable[[str], object] = print) -> Path:
    """Train on a COCO data set, say the AP before and after every epoch, and return the best checkpoint.

    Raises UsageError, InputError for annotations, images or checkpoints that cannot be used, and IncompatibleError for
    networks whose losses are missing.
    """
    device = asked.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device != "cpu" and not torch.cuda.is_available():
        raise AbsentError(f"device {device} is not available; PyTorch sees no GPU; use cpu")
    best, last = asked.output / "best.pth", asked.output / "last.pth"
    check_place(best)
    if last.exists() and not asked.resume:
        raise UsageError(f"{asked.output}: holds an earlier training; continue it with --resume, or choose another -o")
    train, val = _annotations(asked)
    source = choose(asked.model, ExportOptions(asked.checkpoint, asked.config, asked.ignore_config))
    network, checkpoint = load_weights(source, asked.checkpoint)
    network, card, config = _prepared(source, network, checkpoint, train, asked)
    kind = DetectionTask if card.skeleton is None else PoseTask
    task = kind(card, train, val, not asked.no_mirror)
    steps = -(-task.size // asked.batch)
    training = Training(
        network,
        steps=steps * asked.epochs,
        rate=asked.rate,
        device=device,
        keeps_statistics=asked.checkpoint != "random",
    )
    what = f"{len(card.labels)} classes" if card.skeleton is None else f"{len(card.skeleton.keypoints)} keypoints"
    say(f"{source.variant.name}: {what}, {task.size} examples, {len(val.images)} images to evaluate with")
    state = _resumed(last, training, asked, card) if asked.resume else None
    if state is None:
        state = {"epoch": 0, "best": -1.0}
        say(f"before: {_shown(task.evaluate(training.average, device))}")
    with progress_bar() as bar:
        bar_task = bar.add_task("training", total=steps * asked.epochs, completed=training.step, losses="")
        for epoch in range(state["epoch"], asked.epochs):
            for batch in ahead(task.batches(asked.batch, asked.seed, epoch), 2):
                bar.update(bar_task, losses=shown(training.learn(task.losses, *batch)), advance=1)
            accuracy = task.evaluate(training.average, device)
            say(f"epoch {epoch + 1}/{asked.epochs}: {_shown(accuracy)}")
            if accuracy.ap > state["best"]:
                state["best"] = accuracy.ap
                save(best, training.average, card, config)
            state["epoch"] = epoch + 1
            _keep(last, training, asked, card, state)
    say(f"wrote {best}: AP {state['best']:.1f}")
    named = f"--model {source.variant.name} " if not source.facts else ""
    say(f"next: detexport {named}--checkpoint {best}")
    return best


def _annotations(asked: FinetuneOptions) -> tuple[Annotations, Annotations]:
    """The annotations to train and to evaluate with."""
    data = read_annotations(asked.data, asked.images)
    data.check_files()
    if asked.val is not None:
        val = read_annotations(asked.val, asked.val_images or asked.images)
        val.check_files()
    elif asked.val_images is not None:
        raise UsageError("--val-images needs the annotations of these images; give --val FILE.json")
    else:
        if len(data.images) < 2:
            raise InputError(f"{data.path}: has one image and none to evaluate with; give more, or others with --val")
        data, val = _split(data)
    if not data.object_count:
        raise InputError(f"{data.path}: no object is annotated; fine-tuning needs some")
    return data, val


def _split(data: Annotations) -> tuple[Annotations, Annotations]:
    """All images but every tenth, and these."""
    held = data.images[_EVERY // 2 :: _EVERY] or data.images[-1:]
    rest = tuple(image for image in data.images if image not in held)
    return replace(data, images=rest), replace(data, images=held)


def _prepared(
    source: Source, network: nn.Module, checkpoint: Checkpoint, data: Annotations, asked: FinetuneOptions
) -> tuple[nn.Module, Card, str | None]:
    """The network for the classes or keypoints of the annotations, its Card, and the configuration that describes it.

    Without a configuration the variant's name describes it.
    """
    variant = source.variant
    _check(variant, network)
    config = config_text(checkpoint, asked.config) if source.facts else None
    count = variant.count_classes(network.get_parameter(variant.classes_key))
    if variant.skeleton is None:
        present = {one.category for image in data.images for one in image.objects}
        names = labels = tuple(category.name for id, category in data.categories.items() if id in present)
        old, skeleton = labels_of(variant, checkpoint, count, None), None
    else:
        own = skeleton_of(source, checkpoint, count, None)
        label, skeleton = keypoints_of(data, own)
        labels, names, old = (label,), skeleton.keypoints, own.keypoints
    if config is not None and count != len(names):
        variant, config = recounted(variant, config, count, names, dataset_of(labels, skeleton))
    network = with_classes(variant, network, old, names, asked.seed)
    return network, variant.card(labels, Provenance(checkpoint.name, checkpoint.sha256, "fp32", {}), skeleton), config


def _check(variant: Variant, network: nn.Module) -> None:
    """Raise IncompatibleError for a network whose losses are missing."""
    if variant.form.runs_on == "crops":
        if isinstance(variant.form, Heatmaps) and variant.form.method in METHODS:
            return
        raise IncompatibleError(
            f"{variant.name} cannot be fine-tuned; the labels of its output are missing; choose a top-down network "
            "with a Gaussian around each keypoint, such as hrnet_w32_udp"
        )
    if not isinstance(network, DenseDetector) or type(network.bbox_head) not in LOSSES:
        heads = ", ".join(sorted(kind.__name__.removesuffix("Head") for kind in LOSSES))
        raise IncompatibleError(
            f"{variant.name} cannot be fine-tuned; the losses of its head are missing; choose a network with one of "
            f"the heads {heads}"
        )


def _same(asked: FinetuneOptions, card: Card) -> dict[str, Any]:
    """What must not change between an interrupted training and its continuation."""
    kept = ("epochs", "batch", "rate", "no_mirror", "seed")
    keypoints = None if card.skeleton is None else list(card.skeleton.keypoints)
    same = {"model": card.model, "classes": list(card.labels), "keypoints": keypoints}
    return {**same, **{name: getattr(asked, name) for name in kept}}


def _keep(path: Path, training: Training, asked: FinetuneOptions, card: Card, state: dict[str, Any]) -> None:
    with replacing(path) as temporary:
        torch.save({"asked": _same(asked, card), "training": training.state(), **state}, temporary)


def _resumed(path: Path, training: Training, asked: FinetuneOptions, card: Card) -> dict[str, Any] | None:
    """The epoch and the best AP so far of an interrupted training, None if there was no epoch yet."""
    if not path.exists():
        return None
    try:
        kept = torch.load(path, map_location="cpu", weights_only=True)
        changed = [name for name, value in _same(asked, card).items() if kept["asked"].get(name) != value]
        if changed:
            raise UsageError(
                f"{path}: its training had {changed[0]} {kept['asked'].get(changed[0])}; give the same, or another -o"
            )
        training.restore(kept["training"])
        return {"epoch": int(kept["epoch"]), "best": float(kept["best"])}
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, EOFError, UnpicklingError) as error:
        raise InputError(f"{path}: cannot be resumed; the file is damaged; delete it, or choose another -o") from error


def _shown(accuracy: Accuracy) -> str:
    return f"AP {accuracy.ap:.1f}, AP50 {accuracy.ap50:.1f}, AP75 {accuracy.ap75:.1f}"
