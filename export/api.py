"""Export of one model: load the checkpoint, trace the graph, write the file, verify it."""

from dataclasses import dataclass, replace
from importlib import metadata as packages
from pathlib import Path
from typing import Any

import onnx
from torch import nn

from ..deploy.backends import openvino, ort
from ..deploy.card import Card, Provenance
from ..deploy.forms.form import Form
from ..deploy.system.errors import ExportError, UsageError
from ..deploy.system.files import replacing
from ..deploy.system.flags import options_of
from ..deploy.system.typed import typed
from ..models.checkpoint import Checkpoint
from .calibrate import calibration_images, prepared
from .comparison import TOLERANCES, Comparison, RejectedError, Tolerance
from .convert import attach, prepare, to_onnx
from .graph_nms import GraphNms, check_rule
from .labels import labels_of, skeleton_of
from .openvino import without_functions
from .options import ExportOptions
from .photographs import read_folder
from .progress import Progress
from .quantize import Flavor, quantize
from .reference import Agreement, check_reference, compare_reference
from .solids import with_solid
from .source import Source, choose, load_weights
from .verify import compare
from .verify_ap import annotations_beside, compare_ap


@dataclass(frozen=True)
class Exported:
    """The result of an export: the file, its Card, and the comparison with PyTorch if there was one.

    `agreement` is the comparison with the results of another framework, if those were given.

    >>> exported = export("gfl_markers", verify="off")
    >>> exported.path.as_posix(), exported.comparison
    ('exports/gfl_markers.onnx', None)
    >>> exported.card.labels
    ('qr_code', 'barcode', 'aruco', 'chessboard')
    """

    path: Path
    card: Card
    comparison: Comparison | None
    agreement: Agreement | None = None


def export(model: str | None = None, *, progress: Progress | None = None, **options: Any) -> Exported:
    """Export a model of the zoo, or a checkpoint, to one ONNX file that holds everything needed to run it.

    Without a model name, the configuration in the `checkpoint` describes the network. `options` are the fields of
    `options.ExportOptions`. `progress` is called at each step. Raises UsageError, InputError, ExportError,
    RejectedError (the file is then kept as *.rejected.onnx), and DetforgeError if the file cannot be written.

    >>> exported = export("gfl_markers", precision="fp16", imgsz=(320, 320))
    >>> exported.path.as_posix(), exported.comparison.problem
    ('exports/gfl_markers-fp16.onnx', None)
    """
    model = typed("model", str | None, model)
    asked = options_of(ExportOptions, options)
    asked.check()
    progress = progress or Progress()
    source = choose(model, asked)
    progress.chosen(source)
    return _Export(source, asked, progress).run()


class _Export:
    """One export. The constructor checks the request before any work starts."""

    def __init__(self, source: Source, asked: ExportOptions, progress: Progress) -> None:
        variant = with_solid(source.variant, asked.solid)
        self._source, self._variant, self._asked, self._progress = source, variant, asked, progress
        self._calibration = calibration_images(asked.precision, asked.calib, asked.calib_n)
        if asked.imgsz is not None and variant.form.one_size:
            raise UsageError(f"{variant.name} takes no imgsz; its last layers have a fixed input size; leave it out")
        place = variant.input.place
        self._place = place if asked.imgsz is None else place.fixed(asked.imgsz)
        self._tolerance = _tolerance(asked)
        self._form = variant.form if asked.nms == "none" else variant.form.suppressed_inside()
        if self._form is None:
            raise UsageError(f"{variant.name} is decoded at run time; export it with nms 'none'")
        limits = {name: value for name in ("conf", "iou", "max_det") if (value := getattr(asked, name)) is not None}
        self._suppress = replace(variant.suppress, **limits)
        if asked.nms == "graph":
            check_rule(variant.name, self._suppress)
        self._flavor: Flavor = "cpu" if asked.runtime == "ort" else "tensorrt"
        self._judge = "openvino" if asked.format == "openvino" or asked.precision == "bf16" else "ort"
        if asked.verify == "tensor":
            openvino.check_installation() if self._judge == "openvino" else ort.check_installation()
        if asked.reference_json is not None:
            check_reference(asked.reference_json, asked.images)
        self._pictures = None if asked.images is None else read_folder(Path(asked.images))

    def run(self) -> Exported:
        asked, step = self._asked, self._progress.step
        with step("checkpoint"):
            network, source = load_weights(self._source, asked.checkpoint)
            card, form = self._card(network, source)
        path = Path(asked.output or f"exports/{'-'.join([self._variant.name, *self._marks()])}.onnx")
        with replacing(path) as temporary:
            with step("export"):
                proto, card = self._convert(network, card, form)
            if self._calibration:
                files = self._progress.track("calibrate", self._calibration, len(self._calibration))
                quantize(proto, self._flavor, prepared(files, card, asked.batch or 1), len(self._calibration))
            if asked.format == "openvino":
                proto, card = without_functions(proto, card)
                attach(proto, card)
            temporary.write_bytes(proto.SerializeToString())
            comparison = None
            if asked.verify == "tensor":
                comparison = self._verify(network, temporary, card, form)
                card = replace(card, provenance=replace(card.provenance, parity=comparison.parity))
                attach(proto, card)
                temporary.write_bytes(proto.SerializeToString())
                if comparison.problem is not None:
                    raise rejected(comparison, proto, card, path)
        return Exported(path, card, comparison, self._agreement(path, card))

    def _agreement(self, path: Path, card: Card) -> Agreement | None:
        asked = self._asked
        if asked.reference_json is None or asked.images is None:
            return None
        reference, folder = Path(asked.reference_json), Path(asked.images)
        return compare_reference(path, card, reference, folder, self._judge, self._progress)

    def _marks(self) -> list[str]:
        """The parts of the default file name that follow the model name."""
        flavor = self._flavor if self._calibration else "cpu"
        marked = ((self._asked.precision, "fp32"), (flavor, "cpu"), (self._asked.format, "onnx"))
        return [mark for mark, usual in marked if mark != usual]

    def _card(self, network: nn.Module, source: Checkpoint) -> tuple[Card, Form]:
        """The Card for the number of labels or keypoints in the weights, and the form of the network's raw outputs."""
        variant, asked = self._variant, self._asked
        count = variant.count_classes(network.get_parameter(variant.classes_key))
        provenance = Provenance(source.name, source.sha256, asked.precision, _versions())
        if not variant.form.has_keypoints:
            card = variant.card(labels_of(variant, source, count, asked.labels), provenance)
        else:
            skeleton = skeleton_of(self._source, source, count, asked.labels)
            card = variant.card(source.labels or variant.labels, provenance, skeleton)
        form = card.form
        card = replace(card, suppress=self._suppress)
        if asked.nms == "graph":
            assert self._form is not None
            card = replace(card, form=self._form)
        return card.with_place(self._place), form

    def _convert(self, network: nn.Module, card: Card, form: Form) -> tuple[onnx.ModelProto, Card]:
        """The graph with its Card inside and its trunk in the requested precision."""
        trunk = self._asked.precision
        if trunk == "int8":  # Layers that are not quantised are faster in fp16 with TensorRT, but not on a CPU.
            trunk = "fp32" if self._flavor == "cpu" else "fp16"
        canvas = card.input.place.canvas
        traced = prepare(network, card.inputs, trunk, canvas)
        if card.form.suppresses and not form.suppresses:
            traced = GraphNms(traced, form, card.fusion, card.suppress, card.labels)
        proto, ops = to_onnx(traced, card.inputs, canvas=canvas, batch=self._asked.batch)
        if missing := card.missing({output.name for output in proto.graph.output}):
            raise ExportError(f"{card.model}: the network has no output {missing[0]}, which its form reads; report it")
        card = replace(card, ops=ops)
        attach(proto, card)
        return proto, card

    def _verify(self, network: nn.Module, file: Path, card: Card, form: Form) -> Comparison:
        with self._progress.step("verify"):
            comparison = compare(network, file, card, form, self._pictures, self._tolerance, self._judge)
        if self._asked.precision == "int8" and (truth := annotations_beside(self._asked.images, card)):
            comparison.ap = compare_ap(network, file, card, form, truth, self._judge, self._progress)
        return comparison


def rejected(comparison: Comparison, proto: onnx.ModelProto, card: Card, path: Path) -> RejectedError:
    """Keep the file that disagrees under another name, and make the error about it."""
    kept = path.with_suffix(".rejected.onnx")
    with replacing(kept) as temporary:
        temporary.write_bytes(proto.SerializeToString())
    remedy = comparison.remedy(card.provenance.precision)
    return RejectedError(
        f"the file disagrees with {card.provenance.verified_against}; {comparison.problem}; it is kept as {kept}; "
        f"{remedy}",
        card,
        comparison,
    )


def _tolerance(asked: ExportOptions) -> Tolerance:
    default = TOLERANCES[asked.precision]
    if asked.atol is not None or asked.rtol is not None:
        # Explicit limits on values replace the limit on the cosine.
        atol = default.atol if asked.atol is None else asked.atol
        rtol = default.rtol if asked.rtol is None else asked.rtol
        default = replace(default, atol=atol, rtol=rtol, cosine=None)
    if asked.precision == "int8" and asked.checkpoint == "random":
        return replace(default, match_rate=0.0)  # Detections of random weights are noise, which int8 changes.
    return default


def _versions() -> dict[str, str]:
    return {name: packages.version(name) for name in ("detforge", "torch", "onnx", "onnxscript")}
