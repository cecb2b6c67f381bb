"""Exporting one model: checkpoint, graph, proof, file."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from importlib import metadata as packages
from pathlib import Path
from typing import Any, Literal, get_args

import onnx
from torch import nn

from ..deploy.backends import openvino, ort
from ..deploy.card import Card, Input, Precision, Provenance
from ..deploy.decode import READS
from ..deploy.errors import ExportError, InputError, UsageError
from ..deploy.files import replacing
from ..deploy.forms import Decode, DenseDecode, GraphDecode, SimccDecode, TagDecode
from ..models.checkpoint import Checkpoint, fetch, load_variant, random_model, read_checkpoint
from ..models.skeletons import unlinked
from ..models.variant import Variant
from ..models.zoo import find
from .calibrate import calibration_images, prepared
from .comparison import TOLERANCES, Comparison, RejectedError, Tolerance
from .convert import attach, prepare, to_onnx
from .graph_nms import GraphNms
from .openvino import without_functions
from .photographs import read_folder
from .quantize import quantize
from .verify import compare
from .verify_ap import Track, compare_ap, truths_beside

Nms = Literal["none", "graph"]
Verify = Literal["tensor", "off"]
Format = Literal["onnx", "openvino"]
Runtime = Literal["ort", "tensorrt", "tensorrt-rtx"]
Progress = Callable[[str], AbstractContextManager[object]]

_SIDES = range(32, 8193)


@dataclass(frozen=True)
class Report:
    """What an export left: the file, the Card in it, and the comparison with PyTorch unless that was off."""

    path: Path
    card: Card
    comparison: Comparison | None


def export(
    model: str,
    *,
    checkpoint: str | None = None,
    precision: Precision = "fp32",
    format: Format = "onnx",
    imgsz: tuple[int, int] | None = None,
    batch: int | None = None,
    nms: Nms = "none",
    max_det: int | None = None,
    labels: str | Path | None = None,
    verify: Verify = "tensor",
    atol: float | None = None,
    rtol: float | None = None,
    images: str | Path | None = None,
    calib: str | Path | None = None,
    calib_n: int = 256,
    runtime: Runtime = "ort",
    output: str | Path | None = None,
    report: Progress = nullcontext,
    track: Track = lambda _name, parts, _count: parts,
) -> Report:
    """Export a model of the zoo by name to one ONNX file that holds everything needed to run it.

    `checkpoint` is a file, a url or "random"; by default the published one. With `format` "openvino" the file has no
    functions and is verified in OpenVINO, as all bf16 files are. `imgsz` = (height, width) px and `batch` fix what is
    dynamic otherwise, `images` is a folder to verify with, and `report` names each step and encloses it. int8 is
    calibrated on `calib_n` images of the folder `calib` for the `runtime` that will run the file; where `images` has
    COCO's annotations.json, the change of AP is measured. `track` names a step of so many parts, and hands them on.
    Raises UsageError, InputError, ExportError, RejectedError (the file is then kept as *.rejected.onnx), and
    DetforgeError when the file cannot be written.
    """
    variant = find(model)
    _check_values(precision, format, nms, verify, batch, max_det)
    if output is not None and Path(output).suffix != ".onnx":
        raise UsageError(f"-o {output}: the name of the ONNX file ends with .onnx; what else is made lies beside it")
    calibration = calibration_images(precision, calib, calib_n)
    spec = variant.input if imgsz is None else _canvas(variant, imgsz)
    fixed = spec.resize in ("canvas", "crop")
    tolerance = _tolerance(precision, atol, rtol)
    if precision == "int8" and checkpoint == "random":
        tolerance = replace(tolerance, match_rate=0.0)  # what random weights find is noise, which eight bits change
    if nms == "graph" and not isinstance(variant.decode, DenseDecode):
        raise UsageError(f"{variant.name} is decoded at run time; export it with --nms none")
    judge = "openvino" if format == "openvino" or precision == "bf16" else "ort"
    if verify == "tensor":
        # Better now than after the work.
        openvino.check_installation() if judge == "openvino" else ort.check_installation()
    pictures = None if images is None else read_folder(Path(images))
    with report("checkpoint"):
        network, source = _load(variant, checkpoint)
        classes = variant.count_classes(network.get_parameter(variant.classes_key))
        names = _labels(variant, source, classes, labels)
    card = _card(variant, names, Provenance(source.name, source.sha256, precision, _versions()))
    card = replace(
        card,
        input=spec,
        decode=GraphDecode() if nms == "graph" else card.decode,
        suppress=card.suppress if max_det is None else replace(card.suppress, max_det=max_det),
    )
    flavor = "cpu" if runtime == "ort" else "tensorrt"
    marked = ((precision, "fp32"), (flavor if calibration else "cpu", "cpu"), (format, "onnx"))
    marks = [mark for mark, usual in marked if mark != usual]
    path = Path(output or f"exports/{'-'.join([variant.name, *marks])}.onnx")
    with replacing(path) as temporary:
        with report("export"):
            # What TensorRT does not quantise is better half than fp32; a CPU calculates no faster in half.
            trunk = ("fp32" if flavor == "cpu" else "fp16") if precision == "int8" else precision
            proto, card = _convert(network, card, variant.decode, trunk, spec.size if fixed else None, batch)
        if calibration:
            inputs = prepared(track("calibrate", calibration, len(calibration)), spec, batch or 1)
            quantize(proto, flavor, inputs, len(calibration))
        if format == "openvino":
            proto, card = without_functions(proto, card)
            attach(proto, card)
        temporary.write_bytes(proto.SerializeToString())
        comparison = None
        if verify == "tensor":
            with report("verify"):
                comparison = compare(network, temporary, card, variant.decode, pictures, tolerance, judge)
            if precision == "int8" and (truths := truths_beside(images, card)):
                comparison.ap = compare_ap(network, temporary, card, variant.decode, truths, judge, track)
            card = replace(card, provenance=replace(card.provenance, parity=comparison.parity))
            attach(proto, card)
            temporary.write_bytes(proto.SerializeToString())
            if comparison.problem is not None:
                raise _rejected(comparison, proto, card, path)
    return Report(path, card, comparison)


def _card(variant: Variant, names: tuple[str, ...], provenance: Provenance) -> Card:
    """The variant's Card for as many labels, or keypoints, as its weights have."""
    if variant.skeleton is None:
        return variant.card(names, provenance)
    card = variant.card(variant.labels, provenance)
    if names == variant.skeleton.keypoints:
        return card
    # Of keypoints that are the user's own, nobody knows which change places in a mirror.
    decode: Any = replace(variant.decode, flip=False)  # pyright: ignore[reportCallIssue, reportArgumentType]
    if isinstance(decode, TagDecode):
        decode = replace(decode, order=tuple(range(len(names))))
    return replace(card, skeleton=unlinked(names), decode=decode)


def _convert(
    network: nn.Module,
    card: Card,
    decode: Decode,
    trunk: Precision,
    canvas: tuple[int, int] | None,
    batch: int | None,
) -> tuple[onnx.ModelProto, Card]:
    """The graph with its Card inside, its trunk in a precision."""
    traced = prepare(network, trunk, canvas)
    if isinstance(card.decode, GraphDecode) and isinstance(decode, DenseDecode):
        traced = GraphNms(traced, decode, card.fusion, card.suppress)
    proto, ops = to_onnx(traced, canvas=canvas, batch=batch)
    if missing := READS[card.decode.kind] - {output.name for output in proto.graph.output}:
        raise ExportError(
            f"{card.model}: the network gives no {sorted(missing)[0]}, which its decoder reads; report it"
        )
    card = replace(card, ops=ops)
    attach(proto, card)
    return proto, card


def _rejected(comparison: Comparison, proto: onnx.ModelProto, card: Card, path: Path) -> RejectedError:
    """The error about a file that disagrees, which is kept under another name."""
    rejected = path.with_suffix(".rejected.onnx")
    with replacing(rejected) as temporary:
        temporary.write_bytes(proto.SerializeToString())
    remedy = "raise --atol and --rtol if that is acceptable"
    if card.provenance.precision == "int8":
        remedy = "calibrate with more images like those it will see, or use --fp16"
    return RejectedError(
        f"the exported file disagrees with PyTorch; {comparison.problem}; it is kept as {rejected}; {remedy}",
        card,
        comparison,
    )


def _load(variant: Variant, given: str | None) -> tuple[nn.Module, Checkpoint]:
    """The network with its weights, and what they came from."""
    if given == "random":
        return random_model(variant), Checkpoint({}, "random", None, None)
    source = given or _default_checkpoint(variant)
    checkpoint = read_checkpoint(fetch(source) if "://" in source else Path(source))
    return load_variant(variant, checkpoint), checkpoint


def _default_checkpoint(variant: Variant) -> str:
    """Where a variant's own weights are: a file of this package, or a url."""
    if variant.bundled is not None:
        return str(variant.bundled)
    if variant.published is not None and variant.published.url is not None:
        return variant.published.url
    raise UsageError(
        f"{variant.name} has no published checkpoint to download; give one with --checkpoint FILE, or random"
    )


def _labels(variant: Variant, checkpoint: Checkpoint, classes: int, given: str | Path | None) -> tuple[str, ...]:
    """One label a class, or name a keypoint: from the file given, else the checkpoint, the variant, or numbered."""
    own, what = variant.labels, "classes"
    if variant.skeleton is not None:
        own, what = variant.skeleton.keypoints, "keypoints"
    if given is not None:
        labels = _read_labels(Path(given))
        if len(labels) != classes:
            raise InputError(f"{given}: {len(labels)} labels, but the checkpoint has {classes} {what}; give one a line")
        return labels
    for labels in (checkpoint.labels, own):
        if labels is not None and len(labels) == classes:
            return labels
    return tuple(f"{'class' if variant.skeleton is None else 'keypoint'}_{i}" for i in range(classes))


def _read_labels(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(
            f"{path}: the labels cannot be read; {reason}; give a text file with one name a line"
        ) from error
    return tuple(line.strip() for line in lines if line.strip())


def _check_values(precision: str, format: str, nms: str, verify: str, batch: int | None, max_det: int | None) -> None:
    given = {"precision": precision, "format": format, "nms": nms, "verify": verify}
    kinds = {"precision": Precision, "format": Format, "nms": Nms, "verify": Verify}
    for name, value in given.items():
        if value not in (choices := get_args(kinds[name])):
            raise UsageError(f"{name} is {' or '.join(choices)}, not '{value}'")
    if batch is not None and not 1 <= batch <= 1024:
        raise UsageError(f"--batch {batch} is out of range; give 1 to 1024, or dynamic")
    if max_det is not None and not 1 <= max_det <= 100_000:
        raise UsageError(f"--max-det {max_det} is out of range; give 1 to 100000")


def _canvas(variant: Variant, imgsz: tuple[int, int]) -> Input:
    """The same preprocessing onto one canvas of (height, width) px."""
    spec = variant.input
    if spec.resize == "warp" or isinstance(variant.decode, SimccDecode):
        why = "its last layers are made for one size" if spec.resize == "crop" else "it sees images of any aspect whole"
        raise UsageError(f"{variant.name} takes no --imgsz; {why}; leave it out")
    step, missing = spec.pad_multiple, int(spec.pad_to == "or")
    for side in imgsz:
        if side not in _SIDES:
            raise UsageError(f"--imgsz {side} is out of range; give sides of {_SIDES[0]} to {_SIDES[-1]} px")
        if (side + missing) % step:
            near = max(step, (side + missing) // step * step) - missing
            rule = f"one less than a multiple of {step}" if missing else f"a multiple of {step}"
            raise UsageError(f"--imgsz {side} is not {rule}; use {near} or {near + step}")
    return replace(spec, resize="crop" if spec.resize == "crop" else "canvas", size=imgsz)


def _tolerance(precision: Precision, atol: float | None, rtol: float | None) -> Tolerance:
    default = TOLERANCES[precision]
    for name, value in (("--atol", atol), ("--rtol", rtol)):
        if value is not None and not 0 <= value < float("inf"):
            raise UsageError(f"{name} {value} is out of range; give 0 or more")
    if atol is None and rtol is None:
        return default
    # Who gives limits for values wants values to be held against them.
    atol, rtol = default.atol if atol is None else atol, default.rtol if rtol is None else rtol
    return replace(default, atol=atol, rtol=rtol, cosine=None)


def _versions() -> dict[str, str]:
    return {name: packages.version(name) for name in ("detforge", "torch", "onnx", "onnxscript")}
