"""The model table of detexport --list."""

import json
from dataclasses import dataclass
from pathlib import Path

from ..models.shapes import shapes_only
from ..models.variant import Variant
from ..models.zoo import ALIASES, VARIANTS

# Written by docs/models.py: to build every network takes too long for a command.
PARAMETERS = Path(__file__).with_name("parameters.json")


@dataclass(frozen=True)
class Entry:
    """One model. `checkpoint` is the source of its default weights: "published", "bundled" or "none"."""

    name: str
    aliases: tuple[str, ...]
    task: str
    paper: str
    summary: str
    input: str
    classes: int
    parameters: int
    checkpoint: str
    url: str | None
    coco_ap: float | None


def entries() -> list[Entry]:
    """Every variant of the zoo, in the zoo's order."""
    stored = json.loads(PARAMETERS.read_text(encoding="utf-8"))
    return [_entry(variant, stored[variant.name]) for variant in VARIANTS.values()]


def count_parameters() -> dict[str, int]:
    """The number of parameters of every variant's network; builds them all, which takes a minute."""
    counts: dict[str, int] = {}
    found: dict[str, int] = {}
    for variant in VARIANTS.values():
        # Many variants differ only in their Card. The repr of the partial function identifies the network.
        network = f"{variant.build!r} {variant.classes}"
        if network not in counts:
            with shapes_only():
                counts[network] = sum(parameter.numel() for parameter in variant.build(variant.classes).parameters())
        found[variant.name] = counts[network]
    return found


def _entry(variant: Variant, parameters: int) -> Entry:
    published = variant.published
    return Entry(
        name=variant.name,
        aliases=tuple(alias for alias, name in ALIASES.items() if name == variant.name),
        task=variant.form.task,
        paper=variant.paper,
        summary=variant.summary,
        input=variant.input.place.label,
        classes=sum(map(bool, variant.labels)),
        parameters=parameters,
        checkpoint="bundled" if variant.bundled else "published" if published and published.url else "none",
        url=None if published is None else published.url,
        coco_ap=None if published is None else published.ap,
    )
