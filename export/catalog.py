"""The model table of detexport --list."""

from dataclasses import dataclass

from ..models.shapes import shapes_only
from ..models.variant import Variant
from ..models.zoo import ALIASES, VARIANTS


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
    counts: dict[str, int] = {}
    found: list[Entry] = []
    for variant in VARIANTS.values():
        # Many variants differ only in their Card. The repr of the partial function identifies the network.
        network = f"{variant.build!r} {variant.classes}"
        if network not in counts:
            counts[network] = _count_parameters(variant)
        found.append(_entry(variant, counts[network]))
    return found


def _count_parameters(variant: Variant) -> int:
    with shapes_only():
        return sum(parameter.numel() for parameter in variant.build(variant.classes).parameters())


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
