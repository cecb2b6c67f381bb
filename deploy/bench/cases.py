"""What a run of detbench measures: every model with every batch, its peer, and the nodes of each."""

import argparse
import contextlib
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..backends.automatic import choose_backend
from ..backends.node_times import NodeTime
from ..backends.open import default_device, ready
from ..choose import choose_model
from ..inputs.geometry import Geometry
from ..loader import load
from ..system.processors import available_processors
from .measure import ImageFile, Timer
from .nodes import node_times
from .peer import Peer, PeerTimer
from .report import PEER, Case

_MOST_NODES = 20


def model_files(names: Sequence[str | None]) -> dict[str, Path]:
    """The model files, each once, by what the report calls them: the file's name, or its path to tell two apart."""
    paths = list({path.resolve(): path for path in map(choose_model, names)}.values())
    count = Counter(path.name for path in paths)
    return {path.name if count[path.name] == 1 else str(path): path for path in paths}


def own_timers(arguments: argparse.Namespace, models: dict[str, Path], images: Sequence[ImageFile]) -> list[Timer]:
    """A timer for every model and batch; says on stderr what runs, and what is not as it seems."""
    timers: list[Timer] = []
    for name, path in models.items():
        print(f"model: {path}", file=sys.stderr)
        backends = _backends(path, arguments)
        for backend in backends:
            device = arguments.device or default_device(str(path), backend)
            file = ready(path, backend, device)
            options = {"threads": arguments.threads, "streams": arguments.streams}
            model = load(str(file), backend=backend, device=device, **options)
            if max(arguments.batch) > 1 and backend == backends[0]:
                _note_sizes(name, model.card.input.place, images)
            for batch in arguments.batch:
                case = Case(name, backend, device, batch, arguments.streams)
                timers.append(Timer(case, model.find, images, model.card))
    return timers


def _backends(path: Path, arguments: argparse.Namespace) -> list[str]:
    """The runtimes asked for, each once, with the one that "auto" means, which is said on stderr."""
    names: list[str] = []
    for name in arguments.backend or ["auto"]:
        backend = name
        if name == "auto":
            chosen = choose_backend(str(path), arguments.device or default_device(str(path), name))
            backend = chosen.backend
            print(f"backend: {backend}, {chosen.why}", file=sys.stderr)
        names.append(backend)
    return list(dict.fromkeys(names))


def _note_sizes(name: str, place: Geometry, images: Sequence[ImageFile]) -> None:
    """Say on stderr where a batch is not what it seems."""
    canvases = {place.whole(image.size).canvas_size for image in images}
    if len(canvases) > 1:
        print(
            f"note: {name} sees these images in {len(canvases)} sizes, so a batch of different ones runs in parts",
            file=sys.stderr,
        )


def peer_timers(
    arguments: argparse.Namespace, timers: Sequence[Timer], context: contextlib.ExitStack
) -> list[PeerTimer]:
    """A peer for each model, and its cases."""
    peers: dict[str, Peer] = {}
    for timer in timers if arguments.peer is not None else ():
        name = timer.case.model
        if name not in peers:
            peer = Peer(
                timer.card,
                arguments.images,
                device=timer.case.device,
                threads=arguments.threads or available_processors(),
            )
            peers[name] = context.enter_context(peer)
            print(f"peer: {timer.card.model} in eager PyTorch, weights: {peer.weights}", file=sys.stderr)
    return [PeerTimer(replace(t.case, backend=PEER), peers[t.case.model]) for t in timers if peers]


def slowest_nodes(
    arguments: argparse.Namespace, cases: Sequence[Case], models: dict[str, Path], images: Sequence[ImageFile]
) -> dict[Case, tuple[NodeTime, ...]]:
    """The nodes of each case, where --profile-layers asks for them."""
    if not arguments.profile_layers:
        return {}
    options: dict[str, Any] = {"threads": arguments.threads, "images": images}
    return {
        case: tuple(
            node_times(models[case.model], case.backend, device=case.device, batch=case.batch, **options)[:_MOST_NODES]
        )
        for case in cases
    }
