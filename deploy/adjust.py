"""Applies a caller's options to a Card."""

from collections.abc import Mapping
from dataclasses import replace

from .card import Card
from .contract.choices import SUPPRESSION
from .contract.labels import class_numbers
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
    check_limits(card, options.conf, options.max_det)
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


def check_limits(card: Card, conf: float | None, max_det: int | None) -> None:
    """Raises UsageError if a file that runs NMS in its graph has dropped what these would keep."""
    if not card.form.suppresses:
        return
    if conf is not None and conf < card.form.least_conf:
        raise UsageError(
            f"conf {conf:g}: this file runs NMS in its graph and drops scores up to {card.form.least_conf:g}; give "
            "more, or export it with nms 'none'"
        )
    if max_det is not None and max_det > card.suppress.max_det:
        raise UsageError(
            f"max_det {max_det}: this file runs NMS in its graph and has {card.suppress.max_det} rows; give fewer, or "
            f"export it with max_det {max_det}"
        )


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
    """The numbers of the classes to keep; None keeps all. Raises UsageError for an unknown class name."""
    numbers: list[int] = class_numbers(card.labels).tolist()
    if classes.classes is None:
        return None if len(numbers) == len(card.labels) else frozenset(numbers)
    known = {card.labels[number]: number for number in reversed(numbers)}
    parts = [part for name in classes.classes for part in _parts(name)]
    chosen = _spelled(parts, {tuple(_parts(label)): label for label in known})
    if chosen is None:
        unknown = next((part for part in parts if part not in known), ", ".join(parts))
        names = ", ".join(card.labels[number] for number in numbers)
        raise UsageError(f"unknown class '{unknown}'; {card.model} knows {names}")
    return frozenset(known[name] for name in chosen)


def _spelled(parts: list[str], labels: Mapping[tuple[str, ...], str]) -> list[str] | None:
    """The labels that the parts between commas spell, since a label may have commas itself; None where they do not."""
    if not parts:
        return []
    for end in range(1, len(parts) + 1):
        label = labels.get(tuple(parts[:end]))
        if label is not None and (rest := _spelled(parts[end:], labels)) is not None:
            return [label, *rest]
    return None


def _parts(name: str) -> list[str]:
    return [part.strip() for part in name.split(",")]
