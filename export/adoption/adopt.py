"""Adoption of a foreign ONNX file."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from importlib import metadata as packages
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from ...deploy.card import Card, Provenance
from ...deploy.contract.parse import FieldError
from ...deploy.contract.port import Arrays
from ...deploy.forms import Dense
from ...deploy.inputs.geometry import USUAL_IMAGE, Size
from ...deploy.inputs.network_inputs import View
from ...deploy.system.errors import UsageError
from ...deploy.system.files import check_place, replacing
from ..api import Exported, rejected
from ..comparison import TOLERANCES
from ..convert import attach
from ..photographs import make_up, read_folder
from ..progress import Progress
from ..verify import compare_with
from .foreign import DTYPES, Declared, Foreign, Running, read_foreign
from .graph import Attached
from .graph_inputs import constant_of
from .names import labels_for, skeleton_for
from .oracle import decode
from .origins import found_recipe
from .plausible import check_values
from .recipe import Recipe, preset, read_recipe
from .roles import MisfitError

VERIFIED_AGAINST = "the adopted file, decoded by NumPy"


def adopt(
    path: str | Path,
    *,
    preset_name: str | None = None,
    card: str | Path | None = None,
    labels: str | Path | None = None,
    imgsz: Size | None = None,
    images: str | Path | None = None,
    output: str | Path | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Attach a Card and the missing decoding to a foreign ONNX file, and verify the result.

    Without `preset_name` or `card`, a TOML file, the file itself or the files beside it must say what it is. `imgsz` =
    (height, width) fixes the canvas of a file that takes any. `images` is a folder of photographs for the verification.
    `output` is the new file. Raises InputError, IncompatibleError, UsageError, or RejectedError (the file is then kept
    as *.rejected.onnx).

    >>> adopted = adopt("yolox_s.onnx", preset_name="yolox")
    >>> adopted.path.as_posix(), adopted.comparison.problem
    ('exports/yolox_s.onnx', None)
    """
    source, progress = Path(path), progress or Progress()
    target = Path(output or f"exports/{source.stem}.onnx")
    _check_target(source, target)
    pictures = None if images is None else read_folder(Path(images))
    with progress.step("read"):
        foreign = read_foreign(source)
        name, recipe = _recipe(foreign, preset_name, card)
    with progress.step("try"):
        trial = Trial(foreign, recipe, imgsz, name)
        card_ = _card(trial, name, None if labels is None else Path(labels))
    with replacing(target) as temporary:
        with progress.step("attach"):
            made = Attached(
                trial.proto, trial.recipe, trial.image, trial.seen, trial.canvas, trial.batch, foreign.opset
            )
            inputs = (replace(card_.input, name=made.image_name),)
            card_ = replace(card_, inputs=inputs)
            attach(made.proto, card_)
            temporary.write_bytes(made.proto.SerializeToString())
        with progress.step("verify"):
            reference = trial.reference(made.image_name)
            comparison = compare_with(reference, temporary, card_, card_.form, pictures, TOLERANCES["fp32"], "ort")
        card_ = replace(card_, provenance=replace(card_.provenance, parity=comparison.parity))
        attach(made.proto, card_)
        temporary.write_bytes(made.proto.SerializeToString())
        if comparison.problem is not None:
            raise rejected(comparison, made.proto, card_, target)
    return Exported(target, card_, comparison)


class Trial:
    """A foreign file, run on a made-up image by a recipe: its canvas, batch and outputs.

    Raises IncompatibleError if the file does not fit the recipe, and UsageError for a size that it does not take.
    """

    def __init__(self, foreign: Foreign, recipe: Recipe, imgsz: Size | None, name: str) -> None:
        self.foreign, self._name = foreign, name
        with self._named():
            self.image = _image_input(foreign, recipe)
        self.proto = _of_any_size(foreign.proto, self.image) if recipe.any_size else foreign.proto
        shape = (None,) * 4 if recipe.any_size else self.image.shape
        sides = shape[1:3] if recipe.input_layout == "nhwc" else shape[2:]
        place = recipe.input.place
        own = None if sides[0] is None or sides[1] is None else (sides[0], sides[1])
        if own is not None and imgsz not in (None, own):
            raise UsageError(f"{foreign.path}: takes images of {own[1]}x{own[0]} px only; leave --imgsz out")
        if (size := imgsz or own) is not None:
            place = place.fixed(size)
        self.canvas = place.canvas
        self.recipe = replace(recipe, input=replace(recipe.input, place=place))
        self._running = Running(replace(foreign, proto=self.proto))
        self._shown = self.canvas or place.whole(USUAL_IMAGE).canvas_size
        with self._named():
            self.seen, self.decoded = self._try(shape[0] or 1)
            self.batch = shape[0] or self._free_batch()

    @contextmanager
    def _named(self) -> Generator[None]:
        """Name the file and the recipe in the error if they do not fit."""
        try:
            yield
        except MisfitError as misfit:
            path = self.foreign.path
            remedy = f"detexport adopt {path} --describe shows what does"
            raise MisfitError(misfit.reason, f"{path}: does not fit {self._name}; {misfit.reason}; {remedy}") from None

    def _try(self, batch: int) -> tuple[Arrays, Arrays]:
        """The file's outputs for made-up images, and what they mean."""
        images = np.empty((batch, 3, *self._shown), np.float32)
        frame = self.recipe.input.place.whole(self._shown)
        views = [View(make_up(self._shown, seed), frame) for seed in range(batch)]
        self.recipe.input.fill(images, views, 1)
        outputs = self._run(images)
        decoded = decode(self.recipe, outputs, self._shown)
        check_values(self.recipe, decoded, self._shown)
        return outputs, decoded

    def _free_batch(self) -> int | None:
        """None if the file runs on two images at once, else 1. Files may declare a free batch that they cannot run."""
        try:
            outputs, decoded = self._try(2)
        except Exception:  # whatever the runtime raises
            return 1
        same = all(len(value) == 2 for value in decoded.values()) and len(outputs) == len(self.seen)
        return None if same else 1

    def classes_inside(self) -> int | None:
        """The number of classes that the file's own suppression compares; None without one."""
        compared = [node.input[1] for node in self.proto.graph.node if node.op_type == "NonMaxSuppression"]
        if not compared:
            return None
        probe = onnx.ModelProto()
        probe.CopyFrom(self.proto)
        del probe.graph.output[:]
        probe.graph.output.add(name=compared[-1])
        images = np.zeros((self.batch or 1, 3, *self._shown), np.float32)
        [scores] = self._run(images, Running(replace(self.foreign, proto=probe))).values()
        return scores.shape[1] if scores.ndim == 3 else None

    def reference(self, image_name: str) -> Callable[[Arrays], Arrays]:
        """A function from the adopted file's inputs to its expected outputs."""

        def expected(fed: Arrays) -> Arrays:
            image = fed[image_name]
            return decode(self.recipe, self._run(image), (image.shape[2], image.shape[3]))

        return expected

    def _run(self, image: NDArray[Any], running: Running | None = None) -> Arrays:
        """The file's outputs for images (n, 3, h, w)."""
        canvas = (int(image.shape[2]), int(image.shape[3]))
        value = image.transpose(0, 2, 3, 1) if self.recipe.input_layout == "nhwc" else image
        feeds = {self.image.name: np.ascontiguousarray(value).astype(DTYPES[self.image.dtype])}
        for each in self.foreign.inputs:
            if each.name != self.image.name:
                row = np.array([constant_of(self.recipe, each.name, canvas)] * len(image))
                feeds[each.name] = row.astype(DTYPES[each.dtype])
        return (running or self._running).run(feeds)


def _check_target(source: Path, target: Path) -> None:
    if target.suffix != ".onnx":
        raise UsageError(f"output {target}: the name of an ONNX file must end with .onnx")
    if source.exists() and target.exists() and source.samefile(target):
        raise UsageError(f"output {target}: is the file to adopt; name another with -o")
    check_place(target)


def _recipe(foreign: Foreign, preset_name: str | None, card: str | Path | None) -> tuple[str, Recipe]:
    """The name and the recipe of a file."""
    if preset_name is not None and card is not None:
        raise UsageError("a preset and a card both describe the file; give one of them")
    if card is not None:
        return Path(card).name, read_recipe(Path(card))
    return (preset_name, preset(preset_name)) if preset_name is not None else found_recipe(foreign)


def _image_input(foreign: Foreign, recipe: Recipe) -> Declared:
    """The input that takes the image. Raises MisfitError if there is not exactly one."""
    images = [each for each in foreign.inputs if len(each.shape) == 4]
    if len(images) != 1:
        found = ", ".join(map(str, foreign.inputs))
        raise MisfitError(f"it has {len(images)} inputs that may be images, not one: {found}")
    [image] = images
    channels = image.shape[3 if recipe.input_layout == "nhwc" else 1]
    if image.dtype not in DTYPES or channels not in (None, 3):
        layout = "channels last" if recipe.input_layout == "nhwc" else "channels first"
        raise MisfitError(f"its input {image} is no colour image with {layout}")
    return image


def _of_any_size(proto: onnx.ModelProto, image: Declared) -> onnx.ModelProto:
    """A copy in which the image's batch and sides are free."""
    free = onnx.ModelProto()
    free.CopyFrom(proto)
    [value] = [each for each in free.graph.input if each.name == image.name]
    for axis, name in ((0, "batch"), (2, "height"), (3, "width")):
        value.type.tensor_type.shape.dim[axis].dim_param = name
    del free.graph.value_info[:]
    for output in free.graph.output:
        for side in output.type.tensor_type.shape.dim:
            side.ClearField("dim_value")
    return free


def _card(trial: Trial, name: str, labels: Path | None) -> Card:
    recipe, foreign = trial.recipe, trial.foreign
    provenance = Provenance(
        foreign.path.name,
        foreign.sha256,
        "fp32",
        {each: packages.version(each) for each in ("detforge", "onnx")},
        adopted_as=name,
        verified_against=VERIFIED_AGAINST,
    )
    skeleton = skeleton_for(recipe, trial.decoded, labels)
    if recipe.form.has_keypoints:
        names = recipe.labels or ("person",)
    else:
        is_dense = isinstance(recipe.form, Dense)
        count = trial.decoded["scores"].shape[2] if is_dense else trial.classes_inside()
        names = labels_for(recipe, foreign, count, labels)
    try:
        return Card(
            foreign.path.stem,
            (recipe.input,),
            recipe.form,
            names,
            provenance,
            recipe.fusion,
            recipe.suppress,
            skeleton,
        )
    except FieldError as error:
        raise UsageError(f"{name}: {error}") from None
