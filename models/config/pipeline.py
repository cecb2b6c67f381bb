"""How a framework makes an image into a network's input, read from its pipeline of transforms."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from .section import Section
from .text import ConfigError

Three = tuple[float, float, float]


@dataclass(frozen=True)
class Pad:
    """Padding to the right and the bottom: to `size` (height, width) px or to sides of whole `multiple`, with `value`,
    before the normalisation or after it."""

    size: tuple[int, int] | None
    multiple: int
    value: float
    normalised: bool


@dataclass(frozen=True)
class Pipeline:
    """What happens to an image, in this order: it is resized, padded, and normalised, or else padded after that.

    `scale` bounds its long and its short side where `keep_aspect`, and otherwise is its (width, height) px; None leaves
    it as it is. `mean` and `std` are in the order `color`, of values of 0 to 255.
    """

    scale: tuple[int, int] | None = None
    keep_aspect: bool = True
    pads: tuple[Pad, ...] = ()
    color: Literal["rgb", "bgr"] = "bgr"
    mean: Three = (0.0, 0.0, 0.0)
    std: Three = (1.0, 1.0, 1.0)
    normalised: bool = False


@dataclass(frozen=True)
class Crop:
    """The crop that a top-down network sees: of a box times `enlarge`, (height, width) `size` px, and by what rule.

    With `spacing` lengths go from one pixel's centre to another's, as in UDP.
    """

    size: tuple[int, int]
    enlarge: float
    spacing: bool


Steps = Mapping[str, Callable[[Section, Any], Any]]


def find_pipeline(config: Mapping[str, Any]) -> list[Section]:
    """The transforms of the test images: of mmdet 3.x and mmpose 1.x, or of mmdet 2.x and mmpose 0.x."""
    for keys in (("test_dataloader", "dataset"), ("data", "test")):
        dataset: Any = config
        for key in keys:
            dataset = dataset.get(key) if isinstance(dataset, dict) else None
        path = ".".join(keys)
        while isinstance(dataset, dict):
            if "pipeline" in dataset:
                return Section({"pipeline": dataset["pipeline"]}, path).sections("pipeline")
            datasets = dataset.get("datasets")
            below = "dataset" if "dataset" in dataset else "datasets[0]"
            dataset = datasets[0] if below == "datasets[0]" and isinstance(datasets, tuple) else dataset.get("dataset")
            path = f"{path}.{below}"
    raise ConfigError("test_dataloader.dataset.pipeline is missing; give the whole configuration with --config")


def read_images(steps: list[Section], preprocessor: Section | None) -> Pipeline:
    """x."""
    pipeline = Pipeline()
    for step in _flat(steps):
        pipeline = _known(_DETECTION, step)(step, pipeline)
        step.finish()
    return pipeline if preprocessor is None else _preprocess(preprocessor, pipeline)


def read_crop(steps: list[Section], preprocessor: Section | None, size: tuple[int, int]) -> tuple[Crop, Pipeline]:
    """The crop of a top-down network and what is done with its colours."""
    crop, colours = Crop(size, 1.25, False), Pipeline()
    for step in steps:
        crop, colours = _known(_TOP_DOWN, step)(step, (crop, colours))
        step.finish()
    return crop, colours if preprocessor is None else _preprocess(preprocessor, colours)


def _known(table: Steps, step: Section) -> Callable[[Section, Any], Any]:
    if step.type not in table:
        raise ConfigError(f"{step.path}.type is '{step.type[:80]}'; supported: {', '.join(table)}")
    return table[step.type]


def _flat(steps: list[Section]) -> list[Section]:
    """The steps of mmdet 2.x out of the one that repeats them for several scales and mirror images."""
    flat: list[Section] = []
    for step in steps:
        if step.type != "MultiScaleFlipAug":
            flat.append(step)
            continue
        step.fixed(flip=False, scale_factor=None)
        step.training("flip_direction")
        scale = step.pairs("img_scale") if step.is_nested("img_scale") else (step.integers("img_scale", count=2),)
        if len(scale) != 1:
            step.refuse("img_scale", "one scale")
        flat += [_with_scale(each, scale[0]) for each in step.sections("transforms")]
        step.finish()
    return flat


def _with_scale(step: Section, scale: tuple[int, int]) -> Section:
    """A step that finds the scale in itself, as in mmdet 3.x; keeping the aspect was the default before that."""
    return step.extended(scale=scale, keep_ratio=True) if step.type == "Resize" else step


def _load(step: Section, pipeline: Pipeline) -> Pipeline:
    step.fixed(to_float32=False, color_type="color", imdecode_backend="cv2")
    step.training("backend_args", "file_client_args", "ignore_empty")
    return pipeline


def _resize(step: Section, pipeline: Pipeline) -> Pipeline:
    if pipeline.scale is not None or pipeline.pads:
        raise ConfigError(f"{step.path} comes after another resize or padding; supported: one Resize, and first")
    step.fixed(scale_factor=None, backend="cv2", interpolation="bilinear")
    step.training("clip_object_border", "bbox_clip_border", "override")
    scale = (step.integer("scale"),) * 2 if step.is_number("scale") else step.integers("scale", count=2)
    if not all(1 <= side <= 16384 for side in scale):
        step.refuse("scale", "sides of 1 to 16384 px")
    keep_aspect = step.flag("keep_ratio", False)
    return replace(
        pipeline, scale=tuple(sorted(scale, reverse=True)) if keep_aspect else scale, keep_aspect=keep_aspect
    )


def _pad(step: Section, pipeline: Pipeline) -> Pipeline:
    step.fixed(padding_mode="constant")
    width, height = step.integers("size", None, count=2) or (0, 0)
    size = (height, width) if width else None
    multiple = step.integer("size_divisor", None, most=1024) or 1
    if step.flag("pad_to_square", False):
        if pipeline.scale is None or not pipeline.keep_aspect or pipeline.scale[0] != pipeline.scale[1]:
            step.refuse("pad_to_square", "False, or a Resize that keeps the aspect within a square")
        size = pipeline.scale
    return replace(pipeline, pads=(*pipeline.pads, Pad(size, multiple, _pad_value(step), pipeline.normalised)))


def _pad_value(step: Section) -> float:
    """One value for all channels."""
    values = step.section("pad_val") if step.is_section("pad_val") else step
    if values is not step:
        values.training("seg", "masks")
    key = "pad_val" if values is step else "img"
    if values.is_number(key) or key not in values:
        return values.number(key, 0)
    each = values.numbers(key, count=3)
    return each[0] if len(set(each)) == 1 else values.refuse(key, "one value")


def _normalize(step: Section, pipeline: Pipeline) -> Pipeline:
    color: Literal["rgb", "bgr"] = "rgb" if step.flag("to_rgb", True) else "bgr"
    mean, std = step.numbers("mean", count=3), step.numbers("std", count=3)
    return replace(pipeline, color=color, mean=mean, std=_positive(step, std), normalised=True)


def _normalize_tensor(step: Section, state: tuple[Crop, Pipeline]) -> tuple[Crop, Pipeline]:
    """mmpose 0.x reads RGB and normalises values of 0 to 1."""
    mean, std = (tuple(255 * v for v in step.numbers(key, count=3)) for key in ("mean", "std"))
    return state[0], replace(state[1], color="rgb", mean=mean, std=_positive(step, std), normalised=True)


def _positive(step: Section, std: Three) -> Three:
    return std if all(value > 0 for value in std) else step.refuse("std", "values above 0")


def _preprocess(section: Section, pipeline: Pipeline) -> Pipeline:
    """`model.data_preprocessor` of the 2022 frameworks."""
    section.choice("type", dict.fromkeys(("DetDataPreprocessor", "PoseDataPreprocessor")))
    section.training("batch_augments", "pad_mask", "mask_pad_value", "pad_seg", "seg_pad_value", "boxtype2tensor")
    section.training("non_blocking")
    if not section.is_none("mean") and "mean" in section:
        mean, std = section.numbers("mean", count=3), _positive(section, section.numbers("std", count=3))
        pipeline = replace(pipeline, mean=mean, std=std)
    else:
        section.fixed(mean=None, std=None)
    swaps = section.flag("bgr_to_rgb", False) or section.flag("rgb_to_bgr", False)
    pad = Pad(None, section.integer("pad_size_divisor", 1, most=1024), section.number("pad_value", 0), True)
    pads = (*pipeline.pads, pad) if pad.multiple > 1 else pipeline.pads
    section.finish()
    return replace(pipeline, color="rgb" if swaps else "bgr", pads=pads, normalised=True)


def _same(*training: str) -> Callable[[Section, Any], Any]:
    """A step that changes nothing of the image."""

    def read(step: Section, state: Any) -> Any:
        step.rest_trains()
        return state

    return read


def _center_scale(step: Section, state: tuple[Crop, Pipeline]) -> tuple[Crop, Pipeline]:
    return replace(state[0], enlarge=step.number("padding", 1.25)), state[1]


def _affine(step: Section, state: tuple[Crop, Pipeline]) -> tuple[Crop, Pipeline]:
    crop, colours = state
    step.same("input_size", crop.size[::-1], crop.size[::-1])
    return replace(crop, spacing=step.flag("use_udp", False)), colours


def _load_crop(step: Section, state: tuple[Crop, Pipeline]) -> tuple[Crop, Pipeline]:
    step.fixed(channel_order="rgb")
    return state[0], _load(step, state[1])


_DETECTION: Steps = {
    "LoadImageFromFile": _load,
    "Resize": _resize,
    "Pad": _pad,
    "Normalize": _normalize,
    **dict.fromkeys(("LoadAnnotations", "PackDetInputs", "RandomFlip"), _same()),
    **dict.fromkeys(("ImageToTensor", "DefaultFormatBundle", "Collect"), _same()),
}
_TOP_DOWN: Steps = {
    "LoadImage": lambda step, state: (state[0], _load(step, state[1])),
    "LoadImageFromFile": _load_crop,
    **dict.fromkeys(("GetBBoxCenterScale", "TopDownGetBboxCenterScale"), _center_scale),
    **dict.fromkeys(("TopdownAffine", "TopDownAffine"), _affine),
    "NormalizeTensor": _normalize_tensor,
    **dict.fromkeys(("PackPoseInputs", "ToTensor", "Collect"), _same()),
}
