"""Label files: one name a line."""

from pathlib import Path

from ..deploy.system.errors import InputError


def read_labels(path: Path, count: int, what: str) -> tuple[str, ...]:
    """The names in a text file, which are to be `count` of `what`; InputError when they are not or it is unreadable."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()  # editors on Windows put a mark at the start
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(
            f"{path}: the labels cannot be read; {reason}; give a text file with one name a line"
        ) from error
    names = tuple(line.strip() for line in lines if line.strip())
    if len(names) != count:
        raise InputError(f"{path}: {len(names)} labels, but the model has {count} {what}; give one a line")
    return names
