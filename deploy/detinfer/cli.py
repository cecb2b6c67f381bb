"""detinfer: find objects and poses in images, videos and streams."""

import argparse
import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..backends.names import BACKENDS
from ..options import Options
from ..system.console import Parser, complain, ended_by, native_code_muted, run
from ..system.errors import DetforgeError, InputError, UsageError
from ..system.files import check_place
from ..system.flags import add_flags, device, number, threads, whole

if TYPE_CHECKING:
    from ..inputs.listing import Item
    from ..inputs.sources import Picture
    from ..pipelines.pipeline import Pipeline
    from ..results.instances import Instances
    from .bop_results import BopResults
    from .coco_results import CocoResults
    from .given_boxes import GivenBoxes
    from .printer import Printer
    from .save import Saver


def main(argv: Sequence[str] | None = None) -> int:
    """The command; gives its exit code."""
    return run(_infer, _parser(), argv)


def _parser() -> Parser:
    parser = Parser("detinfer", "Find objects and poses in images, videos and streams.")
    add = parser.add_argument
    add(
        "source",
        nargs="+",
        metavar="SRC",
        help="image, folder, glob, video, camera index, url, or - for stdin",
    )
    add("--recursive", action="store_true", help="folders with their subfolders")
    add("--model", metavar="NAME|FILE", help="model file or exported variant; default: the newest in exports/")
    add(
        "--pose-model",
        metavar="NAME|FILE",
        action="append",
        help="pose network for the boxes that --model finds; again, for the hands or faces of whole bodies",
    )
    add("--refine", metavar="NAME|FILE", help="network that refines the poses found, such as PoseFix")
    add(
        "--against",
        type=Path,
        metavar="DIR|FILE",
        help="the later picture of each pair, by file name, for networks that find changes",
    )
    add("--camera", type=Path, metavar="FILE", help="JSON with fx fy cx cy or K in px, for poses in space; also BOP's")
    add(
        "--depth",
        type=Path,
        metavar="DIR|FILE",
        help="16-bit PNG with the depth of each picture's px, by file name, in mm or the camera file's depth_scale",
    )
    add("--boxes", type=Path, metavar="FILE", help="JSON list of image and bbox: where --model, a pose network, looks")
    add("--backend", choices=["auto", *BACKENDS], default="auto", help="runtime (default: %(default)s)")
    add(
        "--device",
        type=device,
        metavar="cpu|cuda:N",
        help="where to run (default: cuda:0 with TensorRT, else cpu)",
    )
    add(
        "--allow-fallback",
        action="store_true",
        help="run on the CPU, with a warning, when the device is absent",
    )
    add("--threads", type=threads, metavar="N", help="CPU threads (default: all)")
    add_flags(Options, parser, " (default: the model's)")
    add("--batch", type=whole(1, 1024), default=1, metavar="N", help="pictures a run (default: %(default)s)")
    add(
        "--tile",
        type=whole(32, 16384),
        metavar="PX",
        help="also detect in tiles of this side (large images)",
    )
    add(
        "--overlap",
        type=number(0, 0.9),
        default=0.2,
        metavar="P",
        help="of neighbouring tiles (default: %(default)s)",
    )
    add("--track", action="store_true", help="identities of objects in videos")
    add("--smooth", action="store_true", help="with --track: smooth the keypoints of each track")
    add("--reduced", action="store_true", help="decode large JPEGs to fewer pixels: sooner, near equal; with --no-save")
    add("--out", type=Path, default=Path("runs/infer"), metavar="DIR", help="folder to save to (%(default)s)")
    add("--no-save", action="store_true", help="no annotated copies")
    add("--save-txt", action="store_true", help="a text file each: label cx cy w h, sizes as parts of 1")
    add("--save-conf", action="store_true", help="with --save-txt: the score as a sixth column")
    add("--save-masks", action="store_true", help="the pixels of all masks of each picture as a black and white PNG")
    add("--save-icdar", action="store_true", help="a text file each as ICDAR's: x1,y1,...,xn,yn in px, then its text")
    add("--save-crops", action="store_true", help="the pixels of each box as an image")
    add("--json", metavar="FILE|-", help="all detections as one JSON document; - for stdout")
    add("--coco-results", type=Path, metavar="FILE", help="all detections as COCO's results; with --annotations")
    add("--annotations", type=Path, metavar="FILE", help="COCO annotations, with the ids for --coco-results")
    add("--save-bop", type=Path, metavar="FILE", help="all poses in space as CSV in the BOP benchmark's format")
    add("--ray", metavar="ADDRESS|local", help="on the workers of a Ray cluster, with --json FILE or --parquet")
    add("--parquet", type=Path, metavar="DIR", help="with --ray: Parquet files, a row for each picture")
    add("--stream", action="store_true", help="with --json -: a line for each picture, as it is ready")
    return parser


def _infer(arguments: argparse.Namespace) -> int:
    if arguments.stream and arguments.json != "-":
        raise UsageError("--stream prints JSON lines on stdout; use it with --json -")
    if arguments.save_conf and not arguments.save_txt:
        raise UsageError("--save-conf adds a column to the files of --save-txt; use it with --save-txt")
    if arguments.smooth and not arguments.track:
        raise UsageError("--smooth smooths the keypoints of each track; use it with --track")
    if (arguments.coco_results is None) != (arguments.annotations is None):
        raise UsageError("--coco-results takes its ids from --annotations; give both or neither")
    with contextlib.nullcontext() if arguments.debug else native_code_muted():
        return _infer_quietly(arguments)


def _infer_quietly(arguments: argparse.Namespace) -> int:
    from ..inputs.sources import open_each
    from ..pipelines.tracking import Tracking
    from . import cluster
    from .bop_results import BopResults
    from .coco_results import CocoResults
    from .given_boxes import boxes_for
    from .model import open_model
    from .printer import Printer  # what needs OpenCV is imported late: --help is to answer at once
    from .progress import progress
    from .read_ahead import find_ahead, needed
    from .save import Saver

    cluster.check(arguments)
    arguments.no_save = arguments.no_save or arguments.ray is not None
    for file in (None if arguments.json == "-" else arguments.json, arguments.coco_results, arguments.save_bop):
        if file is not None:
            check_place(Path(file))
    if arguments.parquet is not None:
        check_place(arguments.parquet / "part.parquet")
    saves = (arguments.save_txt, arguments.save_icdar, arguments.save_masks, arguments.save_crops)
    if not arguments.no_save or any(saves):
        check_place(arguments.out / "results", "choose another --out, or --no-save")
    codes: list[int] = []

    def report(error: Exception) -> None:
        codes.append(complain(error, arguments.debug))

    items, skipped = _items(arguments, report)
    if not items:
        return codes[-1]
    if arguments.ray is not None:
        stopped = cluster.infer(arguments, items, report)
        return stopped or (codes[-1] if codes else 0)
    tracking = Tracking(items, smooth=arguments.smooth) if arguments.track else None
    model = open_model(arguments)
    given = boxes_for(model, arguments.boxes)
    coco = CocoResults(arguments.annotations, model.card.labels) if arguments.annotations is not None else None
    bop = None if arguments.save_bop is None else BopResults(arguments.save_bop)
    more = [own for own in (coco, bop) if own is not None]
    find = _finding(model, given, arguments)
    if tracking is not None:
        find = tracking.after(find)
    saver = Saver(
        arguments.out,
        annotated=not arguments.no_save,
        txt=arguments.save_txt,
        scores=arguments.save_conf,
        icdar=arguments.save_icdar,
        crops=arguments.save_crops,
        masks=arguments.save_masks,
    )
    with Printer(arguments.json, stream=arguments.stream) as printer:
        pictures = open_each(items, report, needed(model, arguments))
        results = find_ahead(pictures, find, printer, arguments.batch)
        try:
            with saver, progress(items) as advance:
                try:
                    # Ends like the source does, so that a camera's video is whole and its results are kept.
                    for picture, found in results:
                        try:
                            _keep(picture, found, printer, saver, given, more)
                        except InputError as error:  # the others go on
                            report(error)
                        advance()
                except KeyboardInterrupt as stop:
                    codes.append(ended_by(stop))
        except DetforgeError as error:  # what was found until then is kept
            report(error)
        results.close()
        printer.finish(arguments.out if saver.saved else None, skipped)
    if coco is not None:
        coco.write(arguments.coco_results)
    if bop is not None:
        bop.write()
    if given is not None and not given.used:
        report(InputError(f"{arguments.boxes}: has no box for any of these pictures; check the names of its images"))
    return codes[-1] if codes else 0


def _keep(
    picture: "Picture",
    found: "Instances | InputError",
    printer: "Printer",
    saver: "Saver",
    given: "GivenBoxes | None",
    more: "list[CocoResults | BopResults]",
) -> None:
    """Print and save what was found in a picture, or raise why nothing could be."""
    if isinstance(found, InputError):
        raise found
    printer.add(picture, found, {} if given is None else given.facts(picture))
    printer.timed("save", lambda: saver.save(picture, found))
    for results in more:
        results.add(picture, found)


def _items(arguments: argparse.Namespace, report: Callable[[Exception], None]) -> "tuple[list[Item], list[str]]":
    """What there is to read, and what is skipped; a source that is not there is reported and the others go on."""
    from ..inputs.listing import find_items, told_apart

    find = find_items
    if arguments.ray is not None:
        from ..batch.sources import find_sources as find
    items: list[Item] = []
    skipped: list[str] = []
    for source in arguments.source:
        try:
            found = find(source, arguments.recursive)
        except InputError as error:
            report(error)
        else:
            items += found.items
            skipped += found.skipped
    out = arguments.out.resolve()
    depth = None if arguments.recursive else 1
    inside = [item for item in items if out in list(Path(item.path).resolve().parents)[:depth]]
    if inside and not arguments.no_save:
        raise UsageError(f"--out {arguments.out} holds the input {inside[0].path}; choose another, or --no-save")
    return told_apart(items), skipped


def _finding(
    model: "Pipeline", given: "GivenBoxes | None", arguments: argparse.Namespace
) -> "Callable[[list[Picture]], list[Instances]]":
    """How each group of pictures is looked at."""
    from .cameras import cameras_for
    from .depths import depths_for
    from .partners import partners_for

    cameras = cameras_for(model, arguments.camera)
    if cameras is not None and arguments.tile is not None:
        raise UsageError(f"--tile has no effect on {model.card.model}, which finds poses in space; leave it out")
    depths = depths_for(model, arguments.depth, cameras, recursive=arguments.recursive)
    partners = partners_for(model, arguments.against, recursive=arguments.recursive)
    if partners is not None:
        if arguments.tile is not None:
            raise UsageError("--tile is for detectors that take one picture; leave it out")
        return partial(partners.look, model)
    if given is not None:
        if arguments.tile is not None:
            raise UsageError("--tile is for detectors; leave it out")
        # Every box gives its pose, unless something is said about which stay.
        as_given = all(getattr(arguments, name) is None for name in ("conf", "nms", "max_det"))
        estimator: Any = model

        def look(pictures: "list[Picture]") -> "list[Instances]":
            own = None if cameras is None else [cameras.of(p) for p in pictures]
            seen = None if depths is None else [depths.of(p) for p in pictures]
            poses = estimator.estimate([p.image for p in pictures], [given.of(p) for p in pictures], own, seen)
            return poses if as_given else [estimator.suppressed(pose) for pose in poses]

        return look
    if cameras is not None:
        return lambda pictures: model(
            [p.image for p in pictures],
            camera=[cameras.of(p) for p in pictures],
            depth=None if depths is None else [depths.of(p) for p in pictures],
        )
    if arguments.tile is None:
        return lambda pictures: model([p.image for p in pictures])
    return lambda pictures: [model.find_tiled(p.image, arguments.tile, arguments.overlap) for p in pictures]
