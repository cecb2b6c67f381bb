"""Pictures inside other files: WebDataset's .tar, and Parquet with a column of pictures."""

import tarfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from ..inputs.kinds import HEAD, kind_of
from ..system.errors import InputError
from .packages import package

_ROWS = 8
"""Rows of Parquet in memory at once; each may be a large picture."""


def is_shard(name: str) -> bool:
    """Whether a file of this name holds pictures inside."""
    return name.lower().endswith((".parquet", ".tar"))


def files_in(file: Any, name: str) -> Iterator[tuple[str, bytes]]:
    """Each picture in an open shard: what results call it, after the shard's name, and its bytes.

    In a .tar it is the member's name, in Parquet the number of the row. Raises InputError if the shard is corrupt, or
    if no column of a Parquet file is the one with pictures.
    """
    try:
        yield from _in_tar(file) if name.lower().endswith(".tar") else _in_parquet(file, name)
    except (tarfile.TarError, OSError, ValueError) as error:  # pyarrow's ArrowInvalid is a ValueError
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(f"{name}: cannot be read to its end; {reason}; copy it again") from error


def _in_tar(file: Any) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=file, mode="r|") as members:
        for member in members:
            content = members.extractfile(member)
            if content is None:
                continue  # a folder
            data = content.read()
            if kind_of(data[:HEAD], PurePosixPath(member.name).suffix) == "picture":
                yield member.name, data


def _in_parquet(file: Any, name: str) -> Iterator[tuple[str, bytes]]:
    table = package("pyarrow.parquet").ParquetFile(file)
    column = _column(table.schema_arrow, name)
    number = 0
    for rows in table.iter_batches(batch_size=_ROWS, columns=[column]):
        values: Any = rows.column(0)
        if column.endswith(".bytes"):
            values = package("pyarrow.compute").struct_field(values, "bytes")
        for data in values.to_pylist():
            yield str(number), data or b""
            number += 1


def _column(schema: Any, name: str) -> str:
    """The column with the bytes of image files: the only one of bytes, or of several that called image."""
    found = [field.name if _is_bytes(field.type) else f"{field.name}.bytes" for field in schema if _has_bytes(field)]
    named = [each for each in found if each in ("image", "image.bytes")]
    for some in (found, named):
        if len(some) == 1:
            return some[0]
    raise InputError(
        f"{name}: which column holds pictures is unclear; of bytes: {', '.join(found) or 'none'}; "
        "keep one column of bytes, or call that of the pictures image"
    )


def _has_bytes(field: Any) -> bool:
    """Whether a column is of bytes, or a struct with `bytes`, as the datasets of Hugging Face have it."""
    types, kind = package("pyarrow.types"), field.type
    return _is_bytes(kind) or (
        types.is_struct(kind) and kind.get_field_index("bytes") >= 0 and _is_bytes(kind.field("bytes").type)
    )


def _is_bytes(kind: Any) -> bool:
    types = package("pyarrow.types")
    return types.is_binary(kind) or types.is_large_binary(kind)
