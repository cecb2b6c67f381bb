"""Writes files atomically."""

import contextlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

from .errors import DetforgeError, InputError, UsageError

_MOST_CHARACTERS = 32


def check_place(path: Path, remedy: str = "choose another path") -> None:
    """Raise UsageError if a file cannot be written here, before the work that produces it starts."""
    if _is_special(path):
        return
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if path.is_dir():
        raise UsageError(f"{path}: cannot be written; it is a folder; name a file in it")
    if not folder.is_dir():
        raise UsageError(f"{path}: cannot be written; {folder} is not a folder; {remedy}")
    if not os.access(folder, os.W_OK):
        raise UsageError(f"{path}: cannot be written; {folder} is read-only for this user; {remedy}")


@contextlib.contextmanager
def replacing(path: Path) -> Generator[Path]:
    """A temporary path in the same folder and with the same suffix, which replaces `path` if the block succeeds.

    Missing folders are created. The target of a link is replaced, not the link; a pipe or a device is written to. If
    the block fails, the temporary file is deleted. Raises DetforgeError if the file cannot be written.
    """
    target = Path(os.path.realpath(path))
    # The name is chosen before the file is created, so that it can be deleted whenever a signal comes. It is shorter
    # than the longest name that file systems allow.
    temporary = target.parent / f".{path.stem[:_MOST_CHARACTERS]}-{secrets.token_hex(4)}{path.suffix}"
    try:
        is_special = _is_special(path)
        if is_special:
            temporary = Path(tempfile.gettempdir()) / temporary.name
        folder = temporary.parent
        folder.mkdir(parents=True, exist_ok=True)
        temporary.touch(exist_ok=False)
        yield temporary
        if is_special:
            with temporary.open("rb") as source, path.open("wb") as sink:
                shutil.copyfileobj(source, sink)
        else:
            temporary.replace(target)
    except OSError as error:
        raise DetforgeError(f"{path}: cannot be written; {error.strerror}; check permissions and free space") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: Path, remedy: str) -> Any:
    """The value in a JSON file, which may start with a byte order mark. Raises InputError with the remedy."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read; {error.strerror}; check the path") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON; {error}; {remedy}") from error


def _is_special(path: Path) -> bool:
    """Whether the path is a pipe or a device, like /dev/stdout, which must not be replaced."""
    return path.exists() and not path.is_file() and not path.is_dir()
