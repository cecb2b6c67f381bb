"""Label files: one name per line."""

from pathlib import Path

from ..deploy.system.errors import InputError


def read_labels(path: Path, count: int | None, what: str) -> tuple[str, ...]:
    """Read `count` names of `what` ("classes") from a text file, or all if `count` is None.

    Raises InputError if the file cannot be read or has another number of names.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()  # Windows editors write a byte order mark.
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(
            f"{path}: the labels cannot be read; {reason}; give a text file with one name per line"
        ) from error
    names = tuple(line.strip() for line in lines if line.strip())
    if count is None and names:
        return names
    if len(names) != count:
        raise InputError(f"{path}: {len(names)} labels, but the model has {count} {what}; give one name per line")
    return names
