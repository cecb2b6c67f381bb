"""Strict parsing of JSON into dataclasses. Errors name the field."""

import types
from collections.abc import Iterable
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints


class FieldError(ValueError):
    """A field has an invalid value. The message names the field."""


def require(condition: bool, name: str, wanted: str) -> None:
    """Raise FieldError if the condition is false; `wanted` completes "field must hold"."""
    if not condition:
        raise FieldError(f"field '{name}' must hold {wanted}")


def parse(kind: Any, value: Any, name: str) -> Any:
    """Parse a JSON value as the annotated type `kind`. Raises FieldError; `name` is the path of the field.

    Supported types are dataclasses, tuples, dicts with str keys, Literals, str, numbers, bool and None. The field
    `kind` selects among the dataclasses of a union, or among those that a base class lists in `choices()`. An absent
    field takes its default.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (Union, types.UnionType):
        return _parse_union(arguments, value, name)
    if origin is Literal:
        require(value in arguments and type(value) is type(arguments[0]), name, " or ".join(map(str, arguments)))
        return value
    if origin is tuple:
        require(isinstance(value, list), name, "a list")
        items = arguments[:1] * len(value) if arguments[-1] is ... else arguments
        require(len(items) == len(value), name, f"{len(items)} items")
        return tuple(parse(item, v, f"{name}[{i}]") for i, (item, v) in enumerate(zip(items, value, strict=True)))
    if origin is dict:
        require(isinstance(value, dict), name, "an object")
        return {key: parse(arguments[1], v, f"{name}.{key}") for key, v in value.items()}
    if choices := getattr(kind, "choices", None):
        return _parse_kind(choices(), value, name)
    if is_dataclass(kind):
        return _parse_object(kind, value, name)
    return _parse_scalar(kind, value, name)


def _parse_union(choices: tuple[Any, ...], value: Any, name: str) -> Any:
    if value is None and type(None) in choices:
        return None
    choices = tuple(choice for choice in choices if choice is not type(None))
    if len(choices) == 1:
        return parse(choices[0], value, name)
    return _parse_kind(choices, value, name)


def _parse_kind(choices: Iterable[Any], value: Any, name: str) -> Any:
    """Parse the dataclass that the value's `kind` selects."""
    tag: Any = cast(dict[str, Any], value).get("kind") if isinstance(value, dict) else None
    known = {choice.kind: choice for choice in choices}
    require(isinstance(tag, str) and tag in known, f"{name}.kind", " or ".join(known))
    return _parse_object(known[str(tag)], value, name)


def _parse_object(kind: Any, value: Any, name: str) -> Any:
    require(isinstance(value, dict), name, "an object")
    prefix = f"{name}." if name else ""
    hints = get_type_hints(kind)
    known = {f.name: f for f in fields(kind)}
    if unknown := [f"'{prefix}{key}'" for key in value if key not in known]:
        raise FieldError(f"field {', '.join(unknown)} is unknown")
    for f in known.values():
        if f.name not in value and f.default is MISSING and f.default_factory is MISSING:
            raise FieldError(f"field '{prefix}{f.name}' is missing")
    return kind(**{key: parse(hints[key], v, prefix + key) for key, v in value.items()})


_SCALARS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}


def _parse_scalar(kind: Any, value: Any, name: str) -> Any:
    if kind is float and type(value) is int:
        value = float(value)
    require(type(value) is kind, name, _SCALARS[kind])
    require(kind is not float or value - value == 0, name, "a finite number")
    return value
