"""JPEG files that lack nothing but the marker at their end."""

import re

END = b"\xff\xd9"
_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])", re.DOTALL)
"""In the data of a scan a zero follows 0xff where it is no marker; restarts are part of the data."""
_FRAMES, _SCAN, _LAST = frozenset([0xC0, 0xC1, 0xC2]), 0xDA, 0xD9
_COEFFICIENTS = 64


def without_end(data: bytes) -> bytes | None:
    """A JPEG up to where its end marker is missing, every scan there; None where anything else is the matter.

    Whether the last scan is whole only its decoder knows.
    """
    body = data.rstrip(b"\xff")
    known: dict[int, set[int]] = {}  # of each component the coefficients that came in full precision
    position = 2
    while (found := _MARKER.search(body, position)) is not None:
        kind, start = found[1][0], found.end()
        if kind == _LAST or len(body) < start + 2:
            return None
        position = start + int.from_bytes(body[start : start + 2], "big")
        segment = body[start + 2 : position]
        if kind in _FRAMES:
            known = {segment[i]: set() for i in range(6, len(segment) - 2, 3)}
        elif kind == _SCAN and segment:
            *components, first, last, precision = segment[1 : 1 + 2 * segment[0] : 2] + segment[-3:]
            if precision & 15 == 0:
                for component in components:
                    known.setdefault(component, set()).update(range(first, last + 1))
    return body if known and all(len(each) == _COEFFICIENTS for each in known.values()) else None
