"""Every model by name, merged by explicit import: a model is one file plus one line here."""

import difflib

from ..variant import Variant
from . import gfl

VARIANTS: dict[str, Variant] = {variant.name: variant for variant in (*gfl.VARIANTS,)}
ALIASES: dict[str, str] = {**gfl.ALIASES}


class UnknownModel(KeyError):
    """No variant has this name; the message offers the nearest ones."""

    def __str__(self) -> str:
        return str(self.args[0])


def find(name: str) -> Variant:
    """The variant of this name or alias."""
    variant = VARIANTS.get(ALIASES.get(name, name))
    if variant is None:
        near = difflib.get_close_matches(name, [*VARIANTS, *ALIASES], 3, 0.4)
        hint = f"nearest: {', '.join(near)}" if near else "see detexport --list"
        raise UnknownModel(f"unknown model '{name}'; {hint}")
    return variant
