"""The slowest nodes of a network."""

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
    """What each node takes in a run over the images, the slowest first, in a session that is timed node by node.

    Runs by itself, since being watched slows a network down; the nodes are those that the runtime made of the file's.
    IncompatibleError for a backend that does not tell.
    """
    if backend not in _PROFILED:
        raise IncompatibleError(f"{backend} does not tell the times of nodes; use --backend {' or '.join(_PROFILED)}")
    session = _PROFILED[backend](str(path), device=device, threads=threads, profile=True)
    model = assemble(session, read_card(session, str(path)))
    pixels = cycle([decode_image(file.data, file.name) for file in images])
    for _ in range(1 + _RUNS):
        model.find(list(islice(pixels, batch)))
    return session.node_times()
