"""detinfer: find objects in images, videos and streams."""

import argparse
import contextlib
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .choose import choose_model
from .console import Parser, complain, device, native_code_muted, run, whole
from .errors import IncompatibleError, InputError, UsageError

if TYPE_CHECKING:
    from .instances import Instances
    from .pipeline import Detector
    from .preprocess import Image
    from .sources import Picture


def main(argv: Sequence[str] | None = None) -> int:
    """The command; gives its exit code."""
    return run(_infer, _parser(), argv)


def _parser() -> Parser:
    parser = Parser("detinfer", "Find objects in images, videos and streams.")
    add = parser.add_argument
    add(
        "source",
        nargs="+",
        metavar="SRC",
        help="image, folder, glob, video, camera index, url, or - for stdin",
    )
    add("--model", metavar="NAME|FILE", help="model file or exported variant; default: the newest in exports/")
    add("--backend", choices=["auto", "ort"], default="auto", help="runtime (default: %(default)s)")
    add(
        "--device",
        type=device,
        default="cpu",
        metavar="cpu|cuda:N",
        help="where to run (default: %(default)s)",
    )
    add(
        "--allow-fallback",
        action="store_true",
        help="run on the CPU, with a warning, when the device is absent",
    )
    add("--threads", type=whole(1, 1024), metavar="N", help="CPU threads (default: all)")
    add("--conf", type=_part, metavar="P", help="least score, 0..1 (default: the model's)")
    add("--iou", type=_part, metavar="P", help="NMS threshold, 0..1 (default: the model's)")
    add(
        "--max-det",
        type=whole(1, 100_000),
        metavar="N",
        help="most detections an image (default: the model's)",
    )
    add("--classes", type=_names, metavar="A,B", help="only these classes")
    add("--fusion", type=_part, metavar="A", help="score^A * quality^(1-A), 0..1 (default: the model's rule)")
    add("--nms", choices=["hard", "linear", "gaussian", "none"], help="suppression (default: the model's)")
    add(
        "--flip",
        action=argparse.BooleanOptionalAction,
        help="merge with the mirrored image, for models made for it (default: the model's)",
    )
    add("--batch", type=whole(1, 1024), default=1, metavar="N", help="pictures a run (default: %(default)s)")
    add(
        "--tile",
        type=whole(32, 16384),
        metavar="PX",
        help="also detect in tiles of this side (large images)",
    )
    add(
        "--overlap",
        type=_overlap,
        default=0.2,
        metavar="P",
        help="of neighbouring tiles (default: %(default)s)",
    )
    add("--out", type=Path, default=Path("runs/infer"), metavar="DIR", help="folder to save to (%(default)s)")
    add("--no-save", action="store_true", help="no annotated copies")
    add("--save-txt", action="store_true", help="a text file each: label cx cy w h score, sizes as parts of 1")
    add("--save-crops", action="store_true", help="the pixels of each box as an image")
    add("--json", metavar="FILE|-", help="all detections as one JSON document; - for stdout")
    add("--stream", action="store_true", help="with --json -: a line for each picture, as it is ready")
    return parser


def _infer(arguments: argparse.Namespace) -> int:
    if arguments.stream and arguments.json != "-":
        raise UsageError("--stream prints JSON lines on stdout; use it with --json -")
    with contextlib.nullcontext() if arguments.debug else native_code_muted():
        return _infer_quietly(arguments)


def _infer_quietly(arguments: argparse.Namespace) -> int:
    from .report import Report  # what needs OpenCV is imported late: --help is to answer at once
    from .save import Saver

    codes: list[int] = []
    items = _items(arguments, codes)
    if not items:
        return codes[-1]
    detector = _open(arguments)
    detect = _detection(detector, arguments)
    report = Report(arguments.json, stream=arguments.stream)
    saver = Saver(arguments.out, annotated=not arguments.no_save, txt=arguments.save_txt, crops=arguments.save_crops)
    pictures = _pictures(items, codes, arguments.debug)
    with saver, _progress(items) as advance:
        try:
            # Ends like the source does, so that a camera's video is whole and its results are kept.
            while group := report.timed("read", lambda: list(islice(pictures, arguments.batch))):
                found = report.timed("detect", lambda group=group: detect([picture.image for picture in group]))
                for picture, instances in zip(group, found, strict=True):
                    report.add(picture, instances)
                    report.timed("save", lambda p=picture, i=instances: saver.save(p, i))
                    advance()
        except KeyboardInterrupt:
            codes.append(130)
    report.finish(arguments.out if saver.saved else None)
    return codes[-1] if codes else 0


def _items(arguments: argparse.Namespace, codes: list[int]) -> list[str]:
    """What there is to read; a source that is not there is reported and the others go on."""
    from .sources import items

    found: list[str] = []
    for source in arguments.source:
        try:
            found += items(source)
        except InputError as error:
            codes.append(complain(error, arguments.debug))
    out = arguments.out.resolve()
    if not arguments.no_save and (inside := [item for item in found if Path(item).resolve().parent == out]):
        raise UsageError(f"--out {arguments.out} holds the input {inside[0]}; choose another folder, or --no-save")
    return found


def _pictures(items: list[str], codes: list[int], debug: bool) -> "Iterator[Picture]":
    """Every picture that can be read; what cannot is reported, and the run goes on."""
    from .sources import open_item

    for item in items:
        try:
            yield from open_item(item)
        except InputError as error:
            codes.append(complain(error, debug))


def _open(arguments: argparse.Namespace) -> "Detector":
    from .pipeline import load

    path = choose_model(arguments.model)
    print(f"model: {path}", file=sys.stderr)
    options: dict[str, Any] = {
        name: getattr(arguments, name)
        for name in ("backend", "threads", "conf", "iou", "max_det", "fusion", "nms", "flip", "classes")
    }
    try:
        return load(str(path), device=arguments.device, **options)
    except IncompatibleError as error:
        if not arguments.allow_fallback or arguments.device == "cpu":
            raise
        detector = load(str(path), device="cpu", **options)  # a file at fault fails here again
        print(f"warning: {error}; running on the CPU", file=sys.stderr)
        return detector


def _detection(detector: "Detector", arguments: argparse.Namespace) -> "Callable[[list[Image]], list[Instances]]":
    if arguments.tile is None:
        return detector
    from .tiles import detect_tiled

    return lambda images: [detect_tiled(detector, image, arguments.tile, arguments.overlap) for image in images]


@contextlib.contextmanager
def _progress(items: list[str]) -> Generator[Callable[[], object]]:
    """Advances a bar on stderr, on a terminal and where there is more than one picture."""
    from .sources import is_video

    endless = any(is_video(item) for item in items)
    if not sys.stderr.isatty() or (len(items) == 1 and not endless):
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

    # What is printed goes above the bar, but only where stdout is that terminal too.
    bar = Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        redirect_stdout=sys.stdout.isatty(),
        transient=True,
    )
    with bar:
        task = bar.add_task("pictures", total=None if endless else len(items))
        yield lambda: bar.advance(task)


def _part(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of 0..1")
    return value


def _overlap(text: str) -> float:
    value = _part(text)
    if value > 0.9:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of 0..0.9")
    return value


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]
