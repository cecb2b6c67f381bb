"""Download published checkpoints into the cache, and check them against the digest in their name."""

import hashlib
import http.client
import os
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from ..deploy.system.errors import InputError
from ..deploy.system.files import replacing

_BY_HAND = "download it by hand and pass it with --checkpoint FILE"
_DIGEST = re.compile(r"-([0-9a-f]{8})\.(?:pth|pt|safetensors)")
_DATE = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")
_CHUNK = 1 << 20
_TIMEOUT_S = 30


def fetch(url: str) -> Path:
    """The file of an http(s) URL, from the cache if it is there with the digest in its name.

    It is stored in $XDG_CACHE_HOME/detforge (or ~/.cache/detforge) only when complete. Raises InputError.
    """
    path = _cache() / _file_name(url)
    if digest_in(path.name) and path.is_file() and _fits(path, path.name):
        return path
    with replacing(path) as temporary:
        with temporary.open("wb") as file:
            for chunk in _download(url, path.name):
                file.write(chunk)
        if not _fits(temporary, path.name):
            raise InputError(f"{url}: corrupt; its sha256 differs from the one in its name; try again, or {_BY_HAND}")
    return path


def sha256(path: Path) -> str:
    """The sha256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_in(name: str) -> str | None:
    """The first 8 hex digits of the sha256, which OpenMMLab and PyTorch append to a published file's name."""
    found = _DIGEST.fullmatch(name[name.rfind("-") :])
    # Users put dates in the same place. A digest that looks like a date is one in a million.
    return None if found is None or _DATE.fullmatch(found[1]) else found[1]


def _fits(path: Path, name: str) -> bool:
    digest = digest_in(name)
    return digest is None or sha256(path).startswith(digest)


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "detforge"


def _file_name(url: str) -> str:
    """A plain file name for the URL's last part."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        parts = urllib.parse.urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise InputError(f"{url}: not an http or https address; check its spelling")
    name = urllib.parse.unquote(parts.path).rpartition("/")[2]
    name = re.sub(r"[^\w.-]", "_", name, flags=re.ASCII).lstrip(".")[-200:]
    if not name:
        raise InputError(f"{url}: names no file; give the address of a checkpoint")
    return name


def _download(url: str, name: str) -> Iterator[bytes]:
    """Yield the body in pieces, with progress on a terminal. Raises InputError for every network failure."""
    from rich.console import Console  # Only downloads need rich.
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    request = urllib.request.Request(url, headers={"User-Agent": "detforge"})
    try:
        with _opener().open(request, timeout=_TIMEOUT_S) as response:
            length = response.headers.get("Content-Length")
            size = int(length) if length is not None else None
            received = 0
            with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
                task = progress.add_task(f"downloading {name}", total=size)
                while chunk := response.read(_CHUNK):
                    received += len(chunk)
                    yield chunk
                    progress.update(task, completed=received)
    except urllib.error.HTTPError as error:
        error.close()  # An HTTPError is also the open response.
        raise InputError(f"{url}: cannot be downloaded; {error.code} {error.reason}; {_BY_HAND}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = getattr(error, "reason", error)
        raise InputError(f"{url}: cannot be downloaded; {why}; {_BY_HAND}") from error
    if size is not None and received != size:
        raise InputError(f"{url}: cut off after {received} of {size} bytes; try again, or {_BY_HAND}")


def _opener() -> urllib.request.OpenerDirector:
    """An opener for http and https only. The default one also follows redirections to ftp."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    return opener
