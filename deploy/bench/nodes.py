"""Profiling of a network node by node."""

from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

from ..backends.node_times import NodeTime
from ..backends.openvino import OpenVinoBackend
from ..backends.ort import OrtBackend
from ..inputs.image import decode_image
from ..loader import assemble, read_card
from ..system.errors import IncompatibleError
from .measure import ImageFile

_PROFILED = {"ort": OrtBackend, "openvino": OpenVinoBackend}
_RUNS = 8


def node_times(
    path: Path, backend: str, *, device: str, threads: int | None, batch: int, images: Sequence[ImageFile]
) -> list[NodeTime]:
    """The time of each node in a run on `batch` images, the slowest first.

    A separate session is profiled, because profiling slows a network down. The nodes are those after the runtime's
    optimisations, not those of the file. Raises IncompatibleError for a backend that cannot profile.
    """
    if backend not in _PROFILED:
        raise IncompatibleError(f"{backend} cannot profile nodes; use --backend {' or '.join(_PROFILED)}")
    session = _PROFILED[backend](str(path), device=device, threads=threads, profile=True)
    model = assemble(session, read_card(session, str(path)))
    pixels = cycle([decode_image(file.data, file.name) for file in images])
    for _ in range(1 + _RUNS):
        model.find(list(islice(pixels, batch)))
    return session.node_times()
