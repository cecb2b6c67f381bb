"""Applies a caller's options to a Card."""

from dataclasses import replace

from .card import Card
from .contract.choices import SUPPRESSION
from .contract.suppression import READS
from .options import Options
from .system.errors import UsageError

_FORM = ("flip", "scales", "decode")
_SUPPRESS = {"conf": "conf", "iou": "iou", "max_det": "max_det", "nms": "kind", "sigma": "sigma"}


def adjusted(card: Card, options: Options, outputs: set[str]) -> Card:
    """The Card with the options applied, for a model with these outputs.

    Raises FieldError or UsageError if an option does not fit the model.
    """
    given = options.given()
    if card.form.suppresses and (useless := [name for name in given if name not in ("conf", "max_det", "classes")]):
        raise UsageError(
            f"this file runs NMS in its graph, so {' and '.join(useless)} has no effect; export it with nms 'none'"
        )
    if options.fusion is not None:
        if card.form.runs_on != "crops" and "quality" not in outputs:
            raise UsageError(f"{card.model} has no quality output to fuse; leave out fusion")
        rest = round(1.0 - options.fusion, 9)
        card = replace(card, fusion=replace(card.fusion, score_exponent=options.fusion, quality_exponent=rest))
    if options.flip and card.skeleton is not None and not card.skeleton.pairs:
        raise UsageError(f"{card.model} has no pairs of left and right keypoints; leave out flip")
    form = card.form
    for name in _FORM:
        if name in given:
            form = form.overridden(name, given[name])
    _check_suppression(card, options, outputs)
    changes = {field: given[name] for name, field in _SUPPRESS.items() if name in given}
    return replace(card, form=form, suppress=replace(card.suppress, **changes))


def _check_suppression(card: Card, options: Options, outputs: set[str]) -> None:
    allowed = SUPPRESSION[card.form.compares]
    if options.nms is not None and options.nms not in allowed:
        raise UsageError(f"{card.model} compares {card.form.compares}; choose nms from {', '.join(allowed)}")
    if (read := READS.get(options.nms or "")) is not None and read not in outputs:
        raise UsageError(f"{card.model} has no output '{read}' to suppress by; choose another nms")
    if card.form.compares == "poses":
        for name in ("iou", "classes"):
            if getattr(options, name) is not None:
                raise UsageError(f"{card.model} finds {card.labels[0]} and compares poses by OKS; leave out {name}")


def class_indices(card: Card, classes: Options) -> frozenset[int] | None:
    """The indices of the classes to keep; None keeps all. Raises UsageError for an unknown class name."""
    if classes.classes is None:
        return None
    if unknown := [name for name in classes.classes if name not in card.labels]:
        raise UsageError(f"unknown class '{unknown[0]}'; {card.model} knows {', '.join(card.labels)}")
    return frozenset(card.labels.index(name) for name in classes.classes)
