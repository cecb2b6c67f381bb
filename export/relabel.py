"""Show and rewrite the Card of a file without an export."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ..deploy.adjust import check_limits
from ..deploy.card import METADATA_KEY, Card, parse_card
from ..deploy.contract.parse import FieldError
from ..deploy.engine.description import read_description
from ..deploy.model_file.metadata import read_metadata, with_metadata
from ..deploy.system.errors import UsageError
from ..deploy.system.files import replacing
from .labels import read_labels


def card_of(path: Path) -> Card:
    """Read the Card of a model file or an engine. Raises InputError or IncompatibleError if there is none."""
    if path.suffix == ".engine":
        return read_description(path).card
    return parse_card(read_metadata(path).get(METADATA_KEY), path)


def relabel(
    path: Path,
    output: Path,
    *,
    labels: Path | None = None,
    conf: float | None = None,
    iou: float | None = None,
    max_det: int | None = None,
) -> Card:
    """Write a copy of an exported ONNX file with other labels or thresholds, and return its Card.

    `labels` is a text file with one name per line, of classes or, for a pose network, keypoints. Raises UsageError for
    a value that the Card cannot have, InputError for files that cannot be read.
    """
    if path.suffix != ".onnx":
        raise UsageError(f"{path}: not an ONNX file; relabel the file that the engine was built from")
    card = card_of(path)
    if labels is not None:
        card = _renamed(card, labels)
    given = {"conf": conf, "iou": iou, "max_det": max_det}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if card.form.suppresses and (fixed := [name for name in ("iou", "max_det") if name in changes]):
        raise UsageError(f"{path}: suppression is inside the file, so {fixed[0]} has no effect; export it again")
    check_limits(card, conf, None)
    try:
        card = replace(card, suppress=replace(card.suppress, **changes))
    except FieldError as error:
        raise UsageError(f"{error}") from None
    with replacing(output) as temporary:
        temporary.write_bytes(with_metadata(path.read_bytes(), METADATA_KEY, card.to_json()))
    return card


def described(card: Card) -> list[tuple[str, str]]:
    """The Card as readable names and values, part by part. Fields with their default value are left out."""
    parts = asdict(card)
    parts.pop("schema")
    return list(_flat("", parts))


def _renamed(card: Card, labels: Path) -> Card:
    if card.skeleton is None or not card.form.has_keypoints:
        return replace(card, labels=read_labels(labels, len(card.labels), "classes"))
    names = read_labels(labels, len(card.skeleton.keypoints), "keypoints")
    return replace(card, skeleton=replace(card.skeleton, keypoints=names))


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    """Every value of a nested structure, named by its path."""
    items: Any = value
    if isinstance(value, dict):
        for key, inner in items.items():
            yield from _flat(f"{prefix}.{key}" if prefix else key, inner)
    elif isinstance(value, list | tuple) and any(isinstance(inner, dict) for inner in items):
        for i, inner in enumerate(items):
            yield from _flat(f"{prefix}[{i}]", inner)
    elif value not in (None, False, ()):
        yield prefix, ", ".join(map(str, items)) if isinstance(value, list | tuple) else str(value)
