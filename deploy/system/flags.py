"""Options as dataclasses: each field defines a keyword of a function and a command-line flag with help and checks."""

import argparse
import re
from collections.abc import Callable
from dataclasses import Field, field, fields
from typing import Any, TypeVar, get_type_hints

from .errors import UsageError
from .processors import at_most_available
from .typed import typed

T = TypeVar("T")


def option(help: str, default: Any = None, **argument: Any) -> Any:
    """A dataclass field whose flag has these arguments of `add_argument`; without arguments it has no flag."""
    return field(default=default, metadata={"help": help, "argument": argument})


def options_of(kind: type[T], given: dict[str, Any]) -> T:
    """The dataclass with values from keywords. Raises UsageError for an unknown keyword or a value of another type."""
    known = [each.name for each in _fields(kind)]
    if unknown := [name for name in given if name not in known]:
        raise UsageError(f"unknown option '{unknown[0]}'; choose from {', '.join(known)}")
    hints = get_type_hints(kind)
    return kind(**{name: typed(name, hints[name], value) for name, value in given.items()})


def add_flags(kind: Any, parser: Any, default: str = "") -> None:
    """Add the flag of each option to a parser; `default` is appended to the help texts."""
    for each in _with_flag(kind):
        argument = each.metadata["argument"]
        flags = [*argument.get("short", ()), f"--{each.name.replace('_', '-')}"]
        rest = {key: value for key, value in argument.items() if key != "short"}
        if "action" not in rest:
            rest["default"] = each.default
        parser.add_argument(*flags, help=each.metadata["help"] + default, dest=each.name, **rest)


def read_flags(kind: type[T], arguments: argparse.Namespace, **more: Any) -> T:
    """The dataclass with values from parsed flags, and from more keywords."""
    return kind(**{each.name: getattr(arguments, each.name) for each in _with_flag(kind)}, **more)


def number(low: float, high: float) -> Callable[[str], float]:
    """The argparse type of a number from low to high."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"'{text}' is not a number of {low:g}..{high:g}")
        return value

    return parse


def whole(low: int, high: int) -> Callable[[str], int]:
    """The argparse type of a whole number from low to high."""

    def parse(text: str) -> int:
        if not re.fullmatch("[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of {low}..{high}")
        return int(text)

    return parse


def threads(text: str) -> int:
    """The type of --threads."""
    return at_most_available(whole(1, 1024)(text))


def names(text: str) -> list[str]:
    """The argparse type of names separated by commas."""
    return [name.strip() for name in text.split(",")]


def device(text: str) -> str:
    """The argparse type of --device."""
    if not re.fullmatch("cpu|cuda(:[0-9]{1,3})?", text):
        raise argparse.ArgumentTypeError(f"'{text}' is neither cpu nor cuda:N")
    return text


def _fields(kind: Any) -> tuple[Field[Any], ...]:
    return fields(kind)


def _with_flag(kind: Any) -> list[Field[Any]]:
    return [each for each in _fields(kind) if each.metadata.get("argument")]
