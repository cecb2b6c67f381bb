"""The text of a config.yaml, and its values by their dotted names."""

from collections.abc import Collection, Mapping
from typing import Any

from ..section import shown
from ..text import ConfigError, check_length

_DUMPED = "give the config.yaml of the training's output folder"


class Keys:
    """The values of a configuration by their dotted names."""

    def __init__(self, values: Mapping[Any, Any]) -> None:
        self._values = values

    def __contains__(self, name: str) -> bool:
        return self._find(name) is not None

    def __getitem__(self, name: str) -> Any:
        value = self._find(name)
        return self.refuse(name, "a value") if value is None else value

    def _find(self, name: str) -> Any:
        value: Any = self._values
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return value

    def whole(self, name: str, most: int = 1 << 16) -> int:
        value = self[name]
        return value if type(value) is int and 1 <= value <= most else self.refuse(name, f"a whole number, 1 to {most}")

    def numbers(self, name: str, count: int | None = None) -> tuple[float, ...]:
        value = self[name]
        fits = isinstance(value, list) and all(type(each) in (int, float) for each in value)
        if not fits or count not in (None, len(value)):
            self.refuse(name, "numbers" if count is None else f"{count} numbers")
        return tuple(value)

    def lists(self, name: str) -> tuple[tuple[float, ...], ...]:
        """Lists of numbers above 0, equally many in each."""
        value = self[name]
        if not isinstance(value, list) or not all(isinstance(own, list) and own for own in value):
            self.refuse(name, "lists of numbers")
        if not all(type(each) in (int, float) and 0 < each < 1 << 16 for own in value for each in own):
            self.refuse(name, "lists of numbers above 0")
        if len({len(own) for own in value}) != 1:
            self.refuse(name, "lists of the same length")
        return tuple(map(tuple, value))

    def only(self, name: str, known: Collection[str]) -> None:
        """Refuse a key below `name` that is not `known`."""
        below = self[name]
        if not isinstance(below, dict):
            self.refuse(name, "a mapping")
        for key in below:
            if key not in known:
                self.refuse(f"{name}.{key}" if isinstance(key, str) else name, "no such key")

    def fixed(self, supported: Mapping[str, tuple[Any, ...]], absent: Collection[str] = ()) -> None:
        """Refuse a value that is not among those that are supported; keys in `absent` may be missing."""
        for name, values in supported.items():
            if (name in self or name not in absent) and self[name] not in values:
                self.refuse(name, ", ".join(map(shown, values)))

    def refuse(self, name: str, supported: str) -> Any:
        found = self._find(name)
        raise ConfigError(f"{name[:100]} is {'missing' if found is None else shown(found)}; supported: {supported}")


def read_values(text: str) -> Keys:
    """The values of a config.yaml. Raises ConfigError for text that is no plain YAML or inherits from another file."""
    import yaml

    check_length(text, _DUMPED)
    try:
        values: Any = yaml.safe_load(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        where = getattr(error, "problem_mark", None)
        line = f"line {where.line + 1}: " if where else ""
        raise ConfigError(f"{line}it is no plain YAML ({type(error).__name__}); {_DUMPED}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"it has no keys; {_DUMPED}")
    if "_BASE_" in values:
        raise ConfigError(f"it inherits from {shown(values['_BASE_'])}; {_DUMPED}, which is whole")
    return Keys(values)
