"""One `dict(...)` of a configuration that tracks which keys were read.

The rule that makes a configuration safe to use: each key is read, only affects training, has its default value, or is
refused by name. `finish` refuses unread keys, so that no relevant key is ignored.
"""

from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

from .text import ConfigError

T = TypeVar("T")

_ALL = object()  # no default: the key is required
_TRAINING = frozenset("init_cfg pretrained frozen_stages norm_eval with_cp zero_init_residual train_cfg".split())
"""Keys that never affect a trained network."""


_PACKAGES = ("mmdet", "mmpose", "mmcv", "mmengine", "torch")


class Section:
    """A `dict(...)` and its path, such as "model.backbone".

    Each method reads one key and returns its value, or the default if it is absent. Raises ConfigError if the value has
    another type, or if a key without a default is absent.
    """

    def __init__(self, data: Mapping[Any, Any], path: str) -> None:
        self.path = path
        self._data = data
        self._read: set[Any] = set(_TRAINING) | {"_scope_"}
        self._children: dict[str, Section] = {}

    @property
    def type(self) -> str:
        """The type that the section configures, without the name of a known package."""
        return _named(self.text("type"))

    def typed(self, *names: str, default: Any = _ALL) -> str:
        """The type, which must be one of `names`."""
        name = _named(self.text("type", default))
        return name if name in names else self.refuse("type", ", ".join(names))

    def __contains__(self, key: str) -> bool:
        return key in self._data

    def texts(self, key: str, default: Any = _ALL, *, count: int | None = None) -> Any:
        """A sequence of strings."""
        return self._sequence(key, default, _is_text, "texts", count)

    def text(self, key: str, default: Any = _ALL) -> Any:
        return self._value(key, default, "a text", _is_text)

    def flag(self, key: str, default: Any = _ALL) -> Any:
        return self._value(key, default, "True or False", _is_flag)

    def integer(self, key: str, default: Any = _ALL, *, least: int = 1, most: int = 1 << 16) -> Any:
        def fits(value: Any) -> bool:
            return _is_integer(value) and least <= value <= most

        return self._value(key, default, f"a whole number, {least} to {most}", fits)

    def number(self, key: str, default: Any = _ALL) -> Any:
        return self._value(key, default, "a number", _is_number)

    def factor(self, key: str) -> float:
        """A factor of channels or blocks, by default 1."""
        value = self.number(key, 1.0)
        return value if 0 < value <= 8 else self.refuse(key, "a number above 0 and up to 8")

    def is_none(self, key: str) -> bool:
        """Whether a key is None, if that differs from its default."""
        self._read.add(key)
        return key in self._data and self._data[key] is None

    def is_number(self, key: str) -> bool:
        """Whether a key holds a number rather than a sequence."""
        return _is_number(self._data.get(key))

    def is_nested(self, key: str) -> bool:
        """Whether a key holds a sequence of sequences."""
        value = self._data.get(key)
        return isinstance(value, tuple) and any(isinstance(each, tuple) for each in value)

    def is_dict(self, key: str) -> bool:
        """Whether a key holds a dict rather than a simpler value."""
        return isinstance(self._data.get(key), dict)

    def integers(self, key: str, default: Any = _ALL, *, count: int | None = None) -> Any:
        """A sequence of whole numbers."""
        return self._sequence(key, default, _is_integer, "whole numbers", count)

    def numbers(self, key: str, default: Any = _ALL, *, count: int | None = None) -> Any:
        """A sequence of numbers."""
        values = self._sequence(key, default, _is_number, "numbers", count)
        return values if values is default else tuple(float(value) for value in values)

    def flags(self, key: str, default: Any = _ALL, *, count: int | None = None) -> Any:
        """A sequence of True and False."""
        return self._sequence(key, default, _is_flag, "True or False", count)

    def pairs(self, key: str, default: Any = _ALL) -> Any:
        """A sequence of pairs of numbers."""
        return self._sequence(key, default, _is_pair, "pairs of numbers", None)

    def levels_of_numbers(self, key: str, *, count: int) -> tuple[tuple[float, ...], ...]:
        """A sequence of so many sequences of numbers above 0."""

        def fits(level: Any) -> bool:
            return isinstance(level, tuple) and all(_is_number(value) and value > 0 for value in level)

        return self._sequence(key, _ALL, fits, "sequences of numbers above 0", count)

    def levels_of_pairs(self, key: str, *, count: int) -> tuple[tuple[tuple[float, float], ...], ...]:
        """A sequence of so many sequences of pairs of numbers above 0."""

        def fits(level: Any) -> bool:
            return isinstance(level, tuple) and bool(level) and all(_is_pair(pair) and min(pair) > 0 for pair in level)

        return self._sequence(key, _ALL, fits, "sequences of pairs of numbers above 0", count)

    def pair(self, key: str) -> tuple[Any, Any]:
        """A sequence of two values of any kind."""
        return self._sequence(key, _ALL, lambda _: True, "values", 2)

    def choice(self, key: str, choices: Mapping[Any, T], default: Any = _ALL) -> T:
        """The entry of `choices` for the key's value."""
        value = self._take(key, default)
        found = [meaning for allowed, meaning in choices.items() if value == allowed and type(value) is type(allowed)]
        return found[0] if found else self.refuse(key, " or ".join(map(repr, choices)))

    def section(self, key: str) -> "Section | None":
        """The section under a key, or None."""
        value = self._take(key, None)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.refuse(key, "a dict")
        return self._child(value, f"{self.path}.{key}")

    def below(self, key: str) -> "Section":
        """The section under a key, which must be there."""
        return self.section(key) or self.refuse(key, "a dict with its type")

    def sections(self, key: str) -> "list[Section]":
        """The sections in the sequence under a key."""
        values = self._take(key, ())
        if not isinstance(values, tuple) or not all(isinstance(value, dict) for value in values):
            self.refuse(key, "a sequence of dicts")
        return [self._child(value, f"{self.path}.{key}[{i}]") for i, value in enumerate(values)]

    def one_or_more(self, key: str) -> "list[Section]":
        """The sections under a key that holds a dict or a sequence of dicts."""
        if self.is_dict(key):
            return [self._child(self._take(key), f"{self.path}.{key}")]
        return self.sections(key) or self.refuse(key, "a dict with its type")

    def numbered(self, key: str) -> "list[Section]":
        """The sections under a key that is a dict with the keys 0, 1, ..."""
        below = self._take(key, {})
        if not isinstance(below, dict) or set(below) != set(range(len(below))):
            self.refuse(key, "a dict of 0, 1, ...")
        if not all(isinstance(value, dict) for value in below.values()):
            self.refuse(key, "a dict of dicts")
        return [self._child(below[i], f"{self.path}.{key}[{i}]") for i in range(len(below))]

    def fixed(self, **only: Any) -> None:
        """Accept only the default of these keys."""
        for key, value in only.items():
            self.same(key, value, value)

    def same(self, key: str, value: Any, default: Any = _ALL) -> None:
        """Check that a key has the given value."""
        if (found := self._take(key, default)) != value:
            raise ConfigError(f"{self.path}.{key} is {shown(found)}; supported: {shown(value)}")

    def those(self, *keys: str) -> dict[str, Any]:
        """The values of these keys where there are any, which another section reads."""
        self._read.update(keys)
        return {key: self._data[key] for key in keys if key in self._data}

    def training(self, *keys: str) -> None:
        """Skip keys that only affect training."""
        self._read.update(keys)

    def rest_trains(self) -> None:
        """Skip all unread keys, which only affect training."""
        self._read.update(self._data)

    def lend(self, key: str, section: "Section") -> None:
        """Let a key hold this section of another one, as the frameworks pass a part on to the one that uses it."""
        self._data = {**self._data, key: section._data}
        self._children[f"{self.path}.{key}"] = section
        self._read.add(key)

    def with_defaults(self, **values: Any) -> "Section":
        """The section with these values for absent keys."""
        self._data = {**values, **self._data}
        return self

    def refuse(self, key: str, supported: str) -> NoReturn:
        """Raise ConfigError about a key and its value."""
        raise ConfigError(f"{self.path}.{key} is {shown(self._data.get(key))}; supported: {supported}")

    def finish(self) -> None:
        """Refuse the first unread key, here or below."""
        for key, value in self._data.items():
            if key not in self._read:
                raise ConfigError(
                    f"{self.path}.{_spelled(key)} is {shown(value)}, which is not supported; "
                    "train without it, or name a model with --model and give --ignore-config"
                )
        for child in self._children.values():
            child.finish()

    def _take(self, key: str, default: Any = _ALL) -> Any:
        self._read.add(key)
        if key in self._data:
            return self._data[key]
        if default is _ALL:
            raise ConfigError(f"{self.path}.{key} is missing; give the whole configuration, dumped by the framework")
        return default

    def _value(self, key: str, default: Any, what: str, fits: Any) -> Any:
        value = self._take(key, default)
        if value is not default and not fits(value):
            self.refuse(key, what)
        return value

    def _sequence(self, key: str, default: Any, fits: Any, what: str, count: int | None) -> Any:
        def whole(value: Any) -> bool:
            return isinstance(value, tuple) and count in (None, len(value)) and all(map(fits, value))

        return self._value(key, default, what if count is None else f"{count} {what}", whole)

    def _child(self, value: dict[Any, Any], path: str) -> "Section":
        return self._children.setdefault(path, Section(value, path))


def shown(value: Any) -> str:
    """A value for a message, truncated."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _named(type_name: str) -> str:
    """The type without the name of a known package. In other packages a name may have another meaning."""
    package, _, _ = type_name.partition(".")
    return type_name.rpartition(".")[2] if package in _PACKAGES else type_name


def _spelled(key: Any) -> str:
    """A key for a message. Keys are untrusted."""
    return key if isinstance(key, str) and key.isidentifier() and len(key) <= 80 else shown(key)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_integer(value: Any) -> bool:
    return type(value) is int and abs(value) < 1 << 31


def _is_pair(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(map(_is_number, value))


def _is_number(value: Any) -> bool:
    return _is_integer(value) or (type(value) is float and value == value)
