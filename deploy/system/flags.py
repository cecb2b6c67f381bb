"""Options as dataclasses: one field is a keyword of a function, a flag of a command, its help and its check."""

import argparse
import re
from collections.abc import Callable
from dataclasses import Field, field, fields
from typing import Any, TypeVar

from .errors import UsageError
from .processors import at_most_available

T = TypeVar("T")


def option(help: str, default: Any = None, **argument: Any) -> Any:
    """A field of a frozen dataclass whose flag takes these arguments of argparse; without any it has no flag."""
    return field(default=default, metadata={"help": help, "argument": argument})


def options_of(kind: type[T], given: dict[str, Any]) -> T:
    """The dataclass from keywords; UsageError names one that is unknown."""
    known = [each.name for each in _fields(kind)]
    if unknown := [name for name in given if name not in known]:
        raise UsageError(f"unknown option '{unknown[0]}'; choose from {', '.join(known)}")
    return kind(**given)


def add_flags(kind: Any, parser: Any, default: str = "") -> None:
    """A flag for each option that has one; `default` says what holds where the flag is absent."""
    for each in _with_flag(kind):
        argument = each.metadata["argument"]
        flags = [*argument.get("short", ()), f"--{each.name.replace('_', '-')}"]
        rest = {key: value for key, value in argument.items() if key != "short"}
        if "action" not in rest:
            rest["default"] = each.default
        parser.add_argument(*flags, help=each.metadata["help"] + default, dest=each.name, **rest)


def read_flags(kind: type[T], arguments: argparse.Namespace, **more: Any) -> T:
    """What the flags say, and more options by keyword."""
    return kind(**{each.name: getattr(arguments, each.name) for each in _with_flag(kind)}, **more)


def number(low: float, high: float) -> Callable[[str], float]:
    """The type of a flag that takes a number of low..high."""

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
    """The type of a flag that takes a whole number of low..high."""

    def parse(text: str) -> int:
        if not re.fullmatch("[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of {low}..{high}")
        return int(text)

    return parse


def threads(text: str) -> int:
    """The type of --threads."""
    return at_most_available(whole(1, 1024)(text))


def names(text: str) -> list[str]:
    """The type of a flag that takes names between commas."""
    return [name.strip() for name in text.split(",")]


def device(text: str) -> str:
    """The type of --device."""
    if not re.fullmatch("cpu|cuda(:[0-9]{1,3})?", text):
        raise argparse.ArgumentTypeError(f"'{text}' is neither cpu nor cuda:N")
    return text


def _fields(kind: Any) -> tuple[Field[Any], ...]:
    return fields(kind)


def _with_flag(kind: Any) -> list[Field[Any]]:
    return [each for each in _fields(kind) if each.metadata.get("argument")]
