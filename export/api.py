"""Exporting one model: checkpoint, graph, proof, file."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from importlib import metadata as packages
from pathlib import Path
from typing import Literal, get_args

import onnx
from torch import nn

from ..deploy.backends.ort import check_installation
from ..deploy.card import Card, Decode, DenseDecode, GraphDecode, Input, Precision, Provenance
from ..deploy.decode import READS
from ..deploy.errors import ExportError, InputError, UsageError, VerificationError
from ..deploy.files import replacing
from ..models.checkpoint import Checkpoint, fetch, load_variant, random_model, read_checkpoint
from ..models.variant import Variant
from ..models.zoo import find
from .convert import attach, prepare, to_onnx
from .graph_nms import GraphNms
from .photographs import read_folder
from .verify import TOLERANCES, Comparison, Tolerance, compare

Nms = Literal["none", "graph"]
Verify = Literal["tensor", "off"]
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
    imgsz: tuple[int, int] | None = None,
    batch: int | None = None,
    nms: Nms = "none",
    max_det: int | None = None,
    labels: str | Path | None = None,
    verify: Verify = "tensor",
    atol: float | None = None,
    rtol: float | None = None,
    images: str | Path | None = None,
    output: str | Path | None = None,
    report: Progress = nullcontext,
) -> Report:
    """Export a model of the zoo by name to one ONNX file that holds everything needed to run it.

    `checkpoint` is a file, a url or "random"; by default the published one. `imgsz` = (height, width) px and `batch`
    fix what is dynamic otherwise, `images` is a folder to verify with, and `report` names each step and encloses it.
    Raises UsageError, InputError, ExportError, VerificationError (the file is then kept as *.rejected.onnx), and
    DetforgeError when the file cannot be written.
    """
    variant = find(model)
    _check_values(precision, nms, verify, batch, max_det)
    spec = variant.input if imgsz is None else _canvas(variant.input, imgsz)
    tolerance = _tolerance(precision, atol, rtol)
    if nms == "graph" and not isinstance(variant.decode, DenseDecode):
        raise UsageError(f"{variant.name} is decoded at run time, from its peaks; export it with --nms none")
    if verify == "tensor":
        check_installation()  # better now than after the work
    pictures = None if images is None else read_folder(Path(images))
    with report("checkpoint"):
        network, source = _load(variant, checkpoint)
        classes = variant.count_classes(network.get_parameter(variant.classes_key))
        names = _labels(variant, source, classes, labels)
    card = variant.card(names, Provenance(source.name, source.sha256, precision, _versions()))
    card = replace(
        card,
        input=spec,
        decode=GraphDecode() if nms == "graph" else card.decode,
        suppress=card.suppress if max_det is None else replace(card.suppress, max_det=max_det),
    )
    path = Path(output or f"exports/{variant.name}{'' if precision == 'fp32' else f'-{precision}'}.onnx")
    with replacing(path) as temporary:
        with report("export"):
            proto, card = _convert(network, card, variant.decode, imgsz, batch)
            temporary.write_bytes(proto.SerializeToString())
        comparison = None
        if verify == "tensor":
            with report("verify"):
                comparison = compare(network, temporary, card, variant.decode, pictures, tolerance)
            card = replace(card, provenance=replace(card.provenance, parity=comparison.parity))
            attach(proto, card)
            temporary.write_bytes(proto.SerializeToString())
            _reject_if_broken(comparison, proto, path)
    return Report(path, card, comparison)


def _convert(
    network: nn.Module, card: Card, decode: Decode, imgsz: tuple[int, int] | None, batch: int | None
) -> tuple[onnx.ModelProto, Card]:
    """The graph with its Card inside."""
    traced = prepare(network, card.provenance.precision)
    if isinstance(card.decode, GraphDecode) and isinstance(decode, DenseDecode):
        traced = GraphNms(traced, decode, card.fusion, card.suppress)
    proto, ops = to_onnx(traced, canvas=imgsz, batch=batch)
    if missing := READS[card.decode.kind] - {output.name for output in proto.graph.output}:
        raise ExportError(
            f"{card.model}: the network gives no {sorted(missing)[0]}, which its decoder reads; report it"
        )
    card = replace(card, ops=ops)
    attach(proto, card)
    return proto, card


def _reject_if_broken(comparison: Comparison, proto: onnx.ModelProto, path: Path) -> None:
    if comparison.problem is None:
        return
    rejected = path.with_suffix(".rejected.onnx")
    with replacing(rejected) as temporary:
        temporary.write_bytes(proto.SerializeToString())
    raise VerificationError(
        f"the exported file disagrees with PyTorch; {comparison.problem}; it is kept as {rejected}; "
        "raise --atol and --rtol if that is acceptable"
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
    """One label a class: from the file given, else the checkpoint, else the variant, else numbered."""
    if given is not None:
        labels = _read_labels(Path(given))
        if len(labels) != classes:
            raise InputError(
                f"{given}: {len(labels)} labels, but the checkpoint has {classes} classes; give one a line"
            )
        return labels
    for labels in (checkpoint.labels, variant.labels):
        if labels is not None and len(labels) == classes:
            return labels
    return tuple(f"class_{i}" for i in range(classes))


def _read_labels(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(
            f"{path}: the labels cannot be read; {reason}; give a text file with one name a line"
        ) from error
    return tuple(line.strip() for line in lines if line.strip())


def _check_values(precision: str, nms: str, verify: str, batch: int | None, max_det: int | None) -> None:
    choices = {"precision": (precision, Precision), "nms": (nms, Nms), "verify": (verify, Verify)}
    for name, (value, kind) in choices.items():
        if value not in get_args(kind):
            raise UsageError(f"{name} is {' or '.join(get_args(kind))}, not '{value}'")
    if batch is not None and not 1 <= batch <= 1024:
        raise UsageError(f"--batch {batch} is out of range; give 1 to 1024, or dynamic")
    if max_det is not None and not 1 <= max_det <= 100_000:
        raise UsageError(f"--max-det {max_det} is out of range; give 1 to 100000")


def _canvas(spec: Input, imgsz: tuple[int, int]) -> Input:
    """The same preprocessing onto one canvas of (height, width) px."""
    step, missing = spec.pad_multiple, int(spec.pad_to == "or")
    for side in imgsz:
        if side not in _SIDES:
            raise UsageError(f"--imgsz {side} is out of range; give sides of {_SIDES[0]} to {_SIDES[-1]} px")
        if (side + missing) % step:
            near = max(step, (side + missing) // step * step) - missing
            rule = f"one less than a multiple of {step}" if missing else f"a multiple of {step}"
            raise UsageError(f"--imgsz {side} is not {rule}; use {near} or {near + step}")
    return replace(spec, resize="canvas", size=imgsz)


def _tolerance(precision: Precision, atol: float | None, rtol: float | None) -> Tolerance:
    default = TOLERANCES[precision]
    for name, value in (("--atol", atol), ("--rtol", rtol)):
        if value is not None and not 0 <= value < float("inf"):
            raise UsageError(f"{name} {value} is out of range; give 0 or more")
    return replace(default, atol=default.atol if atol is None else atol, rtol=default.rtol if rtol is None else rtol)


def _versions() -> dict[str, str]:
    return {name: packages.version(name) for name in ("detforge", "torch", "onnx", "onnxscript")}
