"""The model table of detexport --list."""

from dataclasses import dataclass

import torch

from ..deploy.card import Input
from ..models.variant import Variant
from ..models.zoo import ALIASES, VARIANTS


@dataclass(frozen=True)
class Entry:
    """One model: `checkpoint` says where its default weights come from, "published", "bundled" or "none"."""

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
    """Every variant of the zoo, in its order."""
    return [_entry(variant) for variant in VARIANTS.values()]


def _entry(variant: Variant) -> Entry:
    published = variant.published
    with torch.device("meta"):  # counts without memory and without drawing weights
        network = variant.build(len(variant.labels))
    return Entry(
        name=variant.name,
        aliases=tuple(alias for alias, name in ALIASES.items() if name == variant.name),
        task="detection",
        paper=variant.paper,
        summary=variant.summary,
        input=_input(variant.input),
        classes=len(variant.labels),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        checkpoint="bundled" if variant.bundled else "published" if published and published.url else "none",
        url=None if published is None else published.url,
        coco_ap=None if published is None else published.ap,
    )


def _input(spec: Input) -> str:
    if spec.size is None:
        return "as it is"
    return f"{spec.size[0]}{'-' if spec.resize == 'edges' else 'x'}{spec.size[1]} px"
