"""Addresses: what results call them, and the pictures behind them."""

import base64
import re
from http.client import HTTPException
from urllib.parse import unquote
from urllib.request import Request, urlopen

from ..system.errors import InputError
from .kinds import HEAD, kind_of

_PATIENCE_S = 10.0
_MOST_BYTES = 1 << 29


def plain_address(url: str) -> str:
    """Host and path of an address, without user, password, query and fragment, which may hold secrets."""
    return "".join(_parts(url)[2:])


def picture_at(url: str) -> bytes | None:
    """The bytes of a still picture; None for a video, a stream, and what does not answer as the web does."""
    scheme, user, host, path = _parts(url)
    if scheme not in ("http", "https", "file"):
        return None
    query = re.search(r"[?;][^#]*", url)
    asked = Request(f"{scheme}://{host}{path}{query[0] if query else ''}")
    if user:
        asked.add_header("Authorization", f"Basic {base64.b64encode(unquote(user).encode()).decode()}")
    try:
        with urlopen(asked, timeout=_PATIENCE_S) as answer:
            data: bytes = answer.read(HEAD)
            if kind_of(data) != "picture":
                return None
            data += answer.read(_MOST_BYTES)
    except (OSError, ValueError, HTTPException):
        return None
    if len(data) >= _MOST_BYTES:
        raise InputError(f"{host}{path}: a picture of more than {_MOST_BYTES >> 20} MiB; download it first")
    return data


def _parts(url: str) -> tuple[str, str, str, str]:
    """Scheme, user with password, host with port, and path."""
    scheme, _, rest = url.partition("://")
    host, slash, path = re.split("[?#;]", rest, maxsplit=1)[0].partition("/")
    user, _, host = host.rpartition("@")
    return scheme.lower(), user, host, slash + path
