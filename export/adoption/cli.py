"""detexport adopt: a foreign ONNX file becomes one of ours."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ...deploy.system.console import Parser
from ...deploy.system.errors import UsageError
from ..shown import Shown, print_summary, print_table

if TYPE_CHECKING:
    from .foreign import Foreign


def parser() -> Parser:
    """The parser of `detexport adopt`."""
    made = Parser(
        "detexport adopt",
        "Attach a Card and the missing decoding to an ONNX file of another program, and compare the result with it.",
    )
    add = made.add_argument
    add("file", type=Path, metavar="FILE.onnx", help="the file to adopt; files beside it that describe it are read")
    described = made.add_mutually_exclusive_group()
    described.add_argument("--as", dest="preset", metavar="PRESET", help="what exported it; --describe shows what fits")
    described.add_argument("--card", type=Path, metavar="FILE.toml", help="a description of the file (docs/adopt.md)")
    described.add_argument("--describe", action="store_true", help="print its inputs, outputs and what fits, and exit")
    add(
        "--labels",
        type=Path,
        metavar="FILE|coco|coco91",
        help="class or keypoint names, one per line, empty for no class (default: the file's own)",
    )
    add("--imgsz", nargs=2, type=int, metavar=("H", "W"), help="the canvas of a file that takes any size")
    add("--images", type=Path, metavar="DIR", help="photographs to verify with (default: made-up ones)")
    add("-o", "--output", type=Path, metavar="PATH", help="the new file (default: exports/FILE.onnx)")
    return made


def command(arguments: argparse.Namespace) -> int:
    """Run `detexport adopt` and return its exit code."""
    from ..comparison import RejectedError
    from .adopt import adopt
    from .foreign import read_foreign

    if arguments.describe:
        if given := [name for name in ("labels", "images", "output") if getattr(arguments, name) is not None]:
            raise UsageError(f"--describe writes nothing; leave out --{given[0]}")
        return _describe(read_foreign(arguments.file), arguments.imgsz)
    try:
        adopted = adopt(
            arguments.file,
            preset_name=arguments.preset,
            card=arguments.card,
            labels=arguments.labels,
            imgsz=None if arguments.imgsz is None else tuple(arguments.imgsz),
            images=arguments.images,
            output=arguments.output,
            progress=Shown(),
        )
    except RejectedError as error:
        print_summary(error.card, error.comparison)
        raise
    print_summary(adopted.card, adopted.comparison)
    print(f"wrote {adopted.path} ({adopted.path.stat().st_size / 1e6:.1f} MB)")
    in_crops = adopted.card.form.runs_on == "crops"
    print(
        f"next: detinfer image.jpg --model {f'DETECTOR.onnx --pose-model {adopted.path}' if in_crops else adopted.path}"
    )
    return 0


def _describe(foreign: "Foreign", imgsz: list[int] | None) -> int:
    """Print the file's inputs and outputs, and for each preset whether it fits, or why not."""
    from .describe import fits

    ports = [("input", each) for each in foreign.inputs] + [("output", each) for each in foreign.outputs]
    print_table(["", "name, shape and type"], [[kind, str(each)] for kind, each in ports])
    found = fits(foreign, None if imgsz is None else (imgsz[0], imgsz[1]))
    print_table(["preset", "fits", ""], [[each.preset, "yes" if each.fits else "no", each.note] for each in found])
    fitting = " or ".join(each.preset for each in found if each.fits)
    what = f"--as {fitting}" if fitting else "--card FILE.toml, as docs/adopt.md describes"
    print(f"next: detexport adopt {foreign.path} {what}")
    return 0
