"""Parse the text of an OpenMMLab configuration as data, without running it."""

import ast
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...deploy.system.errors import InputError

_MOST_CHARACTERS = 1 << 20  # Dumped configurations have ten to a hundred thousand.
_DEEPEST = 64
_NAMES = {"inf": float("inf"), "nan": float("nan")}  # as Python prints them in a dump
_FLATTEN = (
    'flatten it with python -c "from mmengine.config import Config; '
    "Config.fromfile('CONFIG.py').dump('FLAT.py')\", or with `from mmcv import Config` for mmcv 1.x"
)


class ConfigError(InputError):
    """A configuration that cannot be read or is not supported; the message says what, why and what to do."""


class UnknownNetworkError(ConfigError):
    """A configuration of a network type that is not read, as other programs have."""


@dataclass(frozen=True)
class Text:
    """The assignments of a configuration: `values` that are data, and `unread` ones with the reason.

    All sequences become tuples, since OpenMMLab does not distinguish lists and tuples.
    """

    values: Mapping[str, Any]
    unread: Mapping[str, str]


def read_text(text: str) -> Text:
    """Read a flat configuration: one assignment per name, of literals and `dict(...)`.

    Assignments of other expressions are listed in `unread`, since most are not needed. Raises ConfigError for other
    statements, and for a text that inherits from other files.
    """
    check_length(text, "give the one dumped")
    try:
        with warnings.catch_warnings(action="ignore"):
            body = ast.parse(text).body
    except SyntaxError as error:
        raise ConfigError(f"line {error.lineno or 1}: not valid Python ({error.msg}); {_FLATTEN}") from None
    except (ValueError, MemoryError, RecursionError) as error:
        raise ConfigError(f"it cannot be parsed ({type(error).__name__}); {_FLATTEN}") from None
    values: dict[str, Any] = {}
    unread: dict[str, str] = {}
    for statement in body:
        name, value = _assignment(statement)
        try:
            values[name] = _data(value, _DEEPEST)
        except ConfigError as error:
            unread[name] = str(error)
    return Text(values, unread)


def check_length(text: str, remedy: str) -> None:
    """Raise ConfigError for a text that is too long to be a configuration."""
    if len(text) > _MOST_CHARACTERS:
        raise ConfigError(f"it has {len(text)} characters, {_MOST_CHARACTERS} at most are read; {remedy}")


def _assignment(statement: ast.stmt) -> tuple[str, ast.expr]:
    match statement:
        case ast.Assign(targets=[ast.Name(id="_base_")]):
            raise ConfigError(f"line {statement.lineno}: it inherits from other files; {_FLATTEN}")
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            return name, value
        case ast.Import() | ast.ImportFrom() | ast.With():
            raise ConfigError(f"line {statement.lineno}: it imports, and nothing in it runs here; {_FLATTEN}")
    raise ConfigError(f"line {statement.lineno}: only assignments are read; {_FLATTEN}")


def _data(node: ast.expr, depth: int) -> Any:
    """The value of an expression of literals."""
    if depth == 0:
        raise ConfigError(f"line {node.lineno}: nested too deeply, {_DEEPEST} levels at most are read; {_FLATTEN}")
    convert = _CONVERT.get(type(node))
    if convert is None:
        raise ConfigError(f"line {node.lineno}: {_shown(node)} is not data; {_FLATTEN}")
    return convert(node, depth - 1)


def _constant(node: Any, _: int) -> Any:
    if isinstance(node.value, bytes | complex) or node.value is ...:
        raise ConfigError(f"line {node.lineno}: {_shown(node)} is not data; {_FLATTEN}")
    return node.value


def _name(node: Any, _: int) -> float:
    if node.id not in _NAMES:
        raise ConfigError(f"line {node.lineno}: '{node.id[:80]}' is a name, not data; {_FLATTEN}")
    return _NAMES[node.id]


def _negative(node: Any, depth: int) -> int | float:
    value = _data(node.operand, depth)
    if not isinstance(node.op, ast.USub) or type(value) not in (int, float):
        raise ConfigError(f"line {node.lineno}: {_shown(node)} is not data; {_FLATTEN}")
    return -value


def _sequence(node: Any, depth: int) -> tuple[Any, ...]:
    return tuple(_data(item, depth) for item in node.elts)


def _braces(node: Any, depth: int) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for key, value in zip(node.keys, node.values, strict=True):
        name = None if key is None else _data(key, depth)
        if type(name) not in (str, int):
            raise ConfigError(f"line {node.lineno}: a key is neither a text nor a whole number; {_FLATTEN}")
        found[name] = _data(value, depth)
    return found


def _call(node: Any, depth: int) -> dict[Any, Any]:
    """dict(a=1), or dict({0: 1}) for keys that are not identifiers."""
    named = [keyword.arg for keyword in node.keywords]
    if not isinstance(node.func, ast.Name) or node.func.id != "dict" or len(node.args) > 1 or None in named:
        raise ConfigError(f"line {node.lineno}: {_shown(node)} is a call, and nothing runs here; {_FLATTEN}")
    found = _data(node.args[0], depth) if node.args else {}
    if not isinstance(found, dict):
        raise ConfigError(f"line {node.lineno}: {_shown(node)} is a call, and nothing runs here; {_FLATTEN}")
    return found | {name: _data(keyword.value, depth) for name, keyword in zip(named, node.keywords, strict=True)}


_CONVERT: dict[type[ast.expr], Callable[[Any, int], Any]] = {
    ast.Constant: _constant,
    ast.Name: _name,
    ast.UnaryOp: _negative,
    ast.List: _sequence,
    ast.Tuple: _sequence,
    ast.Dict: _braces,
    ast.Call: _call,
}


def _shown(node: ast.expr) -> str:
    """An expression in a message: its type, since its text may be as long as the file."""
    return f"a {type(node).__name__}"
