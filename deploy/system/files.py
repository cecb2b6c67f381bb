"""Writing files whole or not at all."""

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

from .errors import DetforgeError, UsageError

_MOST_CHARACTERS = 32


def check_place(path: Path) -> None:
    """UsageError for a file that could not be written when the work is done."""
    if _is_special(path):
        return
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if path.is_dir():
        raise UsageError(f"{path}: cannot be written; it is a folder; name a file in it")
    if not folder.is_dir():
        raise UsageError(f"{path}: cannot be written; {folder} is no folder; choose another place")
    if not os.access(folder, os.W_OK):
        raise UsageError(f"{path}: cannot be written; check the permissions of {folder}")


@contextlib.contextmanager
def replacing(path: Path) -> Generator[Path]:
    """A temporary path beside `path`, with its suffix, which becomes `path` when the block succeeds.

    Folders are made. A link stays, and what it leads to is replaced; a pipe or a device is written to. When the block
    fails nothing is left; DetforgeError says why a file cannot be written.
    """
    target = Path(os.path.realpath(path))
    # Named before it is made: whenever a signal comes, it is known what has to go. Not as long as the name may be.
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
    """Write a UTF-8 file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _is_special(path: Path) -> bool:
    """Whether it is there and neither a file nor a folder, like a pipe or /dev/stdout, which must not be replaced."""
    return path.exists() and not path.is_file() and not path.is_dir()
