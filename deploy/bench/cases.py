"""The cases that detbench measures: every model at every batch size, its PyTorch peer, and its slowest nodes."""

import argparse
import contextlib
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..backends.automatic import choose_backend
from ..backends.node_times import NodeTime
from ..backends.open import default_device, ready
from ..choose import choose_model
from ..contract.camera import Camera
from ..inputs.geometry import Geometry, Image
from ..loader import load
from ..pipelines.pipeline import Pipeline
from ..system.processors import available_processors
from .measure import Find, ImageFile, Timer
from .nodes import node_times
from .peer import Peer, PeerTimer
from .report import PEER, Case

_MOST_NODES = 20


def model_files(names: Sequence[str | None]) -> dict[str, Path]:
    """The model files without duplicates by their names in the report: the file name if unique, else the path."""
    paths = list({path.resolve(): path for path in map(choose_model, names)}.values())
    count = Counter(path.name for path in paths)
    return {path.name if count[path.name] == 1 else str(path): path for path in paths}


def own_timers(arguments: argparse.Namespace, models: dict[str, Path], images: Sequence[ImageFile]) -> list[Timer]:
    """A timer for every model, backend and batch size. Prints to stderr which models and backends run."""
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
                _warn_of_split_batches(name, model.card.input.place, images)
            for batch in arguments.batch:
                case = Case(name, backend, device, batch, arguments.streams)
                timers.append(Timer(case, _finding(model), images, model.card))
    return timers


def _finding(model: Pipeline) -> Find:
    """How the model looks at images.

    One that compares pairs gets each image twice. One that finds poses in space gets a usual camera, and the whole
    image at a depth of 1 m.
    """
    if model.card.form.runs_on == "pairs":
        return lambda images: model.find_with(images, against=images)
    if model.takes_camera:
        return lambda images: model.find_with(images, **_whole(model, images))
    return model.find


def _whole(model: Pipeline, images: Sequence[Image]) -> dict[str, Any]:
    """A usual camera for each image, a depth, and the whole image as a box, as far as the model takes them."""
    given: dict[str, Any] = {"camera": [Camera.usual(image.shape) for image in images]}
    if model.takes_boxes:
        given["boxes"] = [[[0, 0, image.shape[1], image.shape[0]]] for image in images]
    if model.takes_depth:
        given["depth"] = [np.full(image.shape[:2], 1000, np.uint16) for image in images]
    return given


def _backends(path: Path, arguments: argparse.Namespace) -> list[str]:
    """The requested runtimes without duplicates. "auto" is resolved, and the choice is printed to stderr."""
    names: list[str] = []
    for name in arguments.backend or ["auto"]:
        backend = name
        if name == "auto":
            chosen = choose_backend(str(path), arguments.device or default_device(str(path), name))
            backend = chosen.backend
            print(f"backend: {backend}, {chosen.why}", file=sys.stderr)
        names.append(backend)
    return list(dict.fromkeys(names))


def _warn_of_split_batches(name: str, place: Geometry, images: Sequence[ImageFile]) -> None:
    """Print a note to stderr if the images have different canvas sizes: they cannot run as one batch then."""
    canvases = {place.whole(image.size).canvas_size for image in images}
    if len(canvases) > 1:
        print(
            f"note: {name} resizes these images to {len(canvases)} different sizes, so batches may run in parts",
            file=sys.stderr,
        )


def peer_timers(
    arguments: argparse.Namespace,
    timers: Sequence[Timer],
    images: Sequence[ImageFile],
    context: contextlib.ExitStack,
) -> list[PeerTimer]:
    """Start a peer for each model if --peer asks for it, and return a timer for each case."""
    peers: dict[str, Peer] = {}
    for timer in timers if arguments.peer is not None else ():
        name = timer.case.model
        if name not in peers:
            peer = Peer(
                timer.card,
                [image.name for image in images],
                device=timer.case.device,
                threads=arguments.threads or available_processors(),
            )
            peers[name] = context.enter_context(peer)
            print(f"peer: {timer.card.model} in eager PyTorch, weights: {peer.weights}", file=sys.stderr)
    return [PeerTimer(replace(t.case, backend=PEER), peers[t.case.model]) for t in timers if peers]


def slowest_nodes(
    arguments: argparse.Namespace, cases: Sequence[Case], models: dict[str, Path], images: Sequence[ImageFile]
) -> dict[Case, tuple[NodeTime, ...]]:
    """The slowest nodes of each case; empty without --profile-layers."""
    if not arguments.profile_layers:
        return {}
    options: dict[str, Any] = {"threads": arguments.threads, "images": images}
    return {
        case: tuple(
            node_times(models[case.model], case.backend, device=case.device, batch=case.batch, **options)[:_MOST_NODES]
        )
        for case in cases
    }
