"""Checks of the types of options that a caller gives as keywords."""

import os
import types
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal, Union, cast, get_args, get_origin

from .errors import UsageError

_WORDS = {bool: "True or False", int: "a whole number", float: "a number", str: "a string", Path: "a path"}


class _MismatchError(Exception):
    """The value is not of the type."""


def typed(name: str, hint: Any, value: Any) -> Any:
    """The value as the annotated type `hint`: a scalar, Path, Literal, tuple or Collection[str], or a union of these.

    NumPy's scalars become Python's, and sequences become tuples. Raises UsageError that names the option.
    """
    for choice in _choices(hint):
        try:
            return _match(choice, value)
        except _MismatchError:
            continue
    wanted = " or ".join(_described(choice) for choice in _choices(hint) if choice is not types.NoneType)
    raise UsageError(f"{name} must be {wanted}, not {value!r:.80}")


def _choices(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _match(hint: Any, value: Any) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is tuple or origin is Collection:
        if isinstance(value, str | bytes) or not hasattr(value, "__len__") or not hasattr(value, "__iter__"):
            raise _MismatchError
        items = list(cast(Collection[Any], value))
        kinds = arguments if origin is tuple and arguments[-1] is not ... else arguments[:1] * len(items)
        if len(kinds) != len(items):
            raise _MismatchError
        return tuple(_match(kind, item) for kind, item in zip(kinds, items, strict=True))
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()  # of NumPy
    if origin is Literal:
        fits = isinstance(value, str) and value in arguments
    elif hint is types.NoneType:
        fits = value is None
    elif hint is Path:
        fits = isinstance(value, os.PathLike)
    else:
        value = float(value) if hint is float and type(value) is int else value
        fits = type(value) is hint or (hint is str and isinstance(value, str))
    if not fits:
        raise _MismatchError
    return value


def _described(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return " or ".join(map(repr, arguments))
    if origin is tuple or origin is Collection:
        each = _WORDS[arguments[0]].removeprefix("a ") + "s"
        return f"a list of {each}" if arguments[-1] is ... or origin is Collection else f"{len(arguments)} {each}"
    return _WORDS[hint]
