"""Which output of a foreign file plays which role of a recipe."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from ...deploy.system.errors import IncompatibleError
from .recipe import Recipe


class MisfitError(IncompatibleError):
    """A file's inputs or outputs are not those that a recipe describes. `reason` says why without naming the file."""

    def __init__(self, reason: str, message: str | None = None) -> None:
        super().__init__(message or reason)
        self.reason = reason


def roles_of(recipe: Recipe, names: Sequence[str]) -> dict[str, list[str]]:
    """The outputs of each role in the file's order: by the recipe's patterns, else by their position.

    Raises MisfitError if the number of outputs does not fit the roles.
    """
    matched = {role: [name for name in names if fnmatchcase(name, pattern)] for role, pattern in recipe.outputs.items()}
    counts = {len(own) for own in matched.values()}
    taken = [name for own in matched.values() for name in own]
    if len(counts) == 1 and 0 not in counts and len(set(taken)) == len(taken):
        return matched
    roles = list(recipe.outputs)
    each, rest = divmod(len(names), len(roles))
    if rest or not each:
        raise MisfitError(f"it has {len(names)} outputs, not {' and '.join(roles)}")
    return {role: list(names[i * each : (i + 1) * each]) for i, role in enumerate(roles)}


def split_widths(recipe: Recipe, width: int) -> dict[str, tuple[int, int]]:
    """The first and last column of each part of the output `rows`. Raises MisfitError if the width does not fit."""
    parts = [part.split(" ") for part in recipe.decode.split]
    fixed = sum(int(count) for _, count in parts if count != "*")
    rest = width - fixed
    has_rest = any(count == "*" for _, count in parts)
    if rest < has_rest or (rest and not has_rest):
        raise MisfitError(f"its rows have {width} values, not {', '.join(recipe.decode.split)}")
    spans: dict[str, tuple[int, int]] = {}
    start = 0
    for name, count in parts:
        end = start + (rest if count == "*" else int(count))
        spans[name] = (start, end)
        start = end
    return spans
