"""Writing files whole or not at all."""

import contextlib
import os
import tempfile
from collections.abc import Generator
from pathlib import Path

from .errors import DetforgeError


@contextlib.contextmanager
def replacing(path: Path) -> Generator[Path]:
    """A temporary path beside `path`, with its suffix, which becomes `path` when the block succeeds.

    Folders are made. When the block fails nothing is left; DetforgeError says why a file cannot be written.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # mkstemp makes a private file
        temporary.replace(path)
    except OSError as error:
        raise DetforgeError(f"{path}: cannot be written; {error.strerror}; check permissions and free space") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
