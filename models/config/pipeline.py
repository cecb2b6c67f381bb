"""Preprocessing of a framework, read from its transforms of test images."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from ...deploy.inputs.cover import Cover
from ...deploy.inputs.crop import Crop
from ...deploy.inputs.network_inputs import ImageInput
from ...deploy.inputs.resize import LONGEST, Filter, Pad, Resize
from .section import Section, shown
from .text import ConfigError

Three = tuple[float, float, float]


@dataclass(frozen=True)
class Steps:
    """The preprocessing by the transforms read so far: resize, pad, normalise, in this order.

    `pads` may also follow the normalisation; their value is then None. `filled` is the color of a padding, and whether
    it is RGB or BGR; `floats` is whether images are such from the start.
    """

    place: Resize | Crop | Cover = Resize()
    pads: tuple[Pad, ...] = ()
    color: Literal["rgb", "bgr"] = "bgr"
    mean: Three = (0.0, 0.0, 0.0)
    std: Three = (1.0, 1.0, 1.0)
    normalised: bool = False
    filled: tuple[str, Three] | None = None
    floats: bool = False

    def image_input(self) -> ImageInput:
        """The input for a Card. Raises ConfigError if the paddings differ."""
        if not isinstance(self.place, Resize):
            return ImageInput(self.place, self.color, self.mean, self.std)
        first, *others = [pad for pad in self.pads if pad.canvas is not None or pad.multiple > 1] or [Pad()]
        for other in others:
            if (first.centered, first.rule) != (other.centered, other.rule) and other != Pad():
                raise ConfigError(f"images are padded twice, by {first} and {other}; supported: one padding")
            sides = first.canvas or (first.multiple,) * 2
            if any(side % other.multiple for side in sides) or other.canvas not in (None, first.canvas):
                raise ConfigError(f"images are padded twice, by {first} and {other}; supported: one padding")
        if self.filled is not None and self.filled[1] != (0.0, 0.0, 0.0):
            if self.filled != (self.color, self.mean):
                raise ConfigError(f"images are padded with {self.filled}; supported: 0, or the normalisation's mean")
            first = replace(first, value=None)
        return ImageInput(replace(self.place, pad=first), self.color, self.mean, self.std)


Read = Callable[[Section, Steps], Steps]


def find_transforms(config: Mapping[str, Any]) -> list[Section]:
    """The transforms of test images of mmdet 3.x and mmpose 1.x, or of mmdet 2.x and mmpose 0.x."""
    for keys in (("test_dataloader", "dataset"), ("data", "test")):
        dataset: Any = config
        for key in keys:
            dataset = dataset.get(key) if isinstance(dataset, dict) else None
        path = ".".join(keys)
        while isinstance(dataset, dict):
            if "pipeline" in dataset:
                return Section({"pipeline": dataset["pipeline"]}, path).sections("pipeline")
            many = dataset.get("datasets")
            several = isinstance(many, tuple) and bool(many)
            path = f"{path}.{'datasets[0]' if several else 'dataset'}"
            dataset = many[0] if several else dataset.get("dataset")
    raise ConfigError("test_dataloader.dataset.pipeline is missing; give the whole configuration with --config")


def read_images(transforms: list[Section], preprocessor: Section | None) -> tuple[ImageInput, bool]:
    """The input of a detector, and whether boxes are clipped to the canvas, as mmdet 3.x does with a Pad."""
    steps = Steps()
    for transform in _flat(transforms):
        steps = _known(_DETECTION, transform)(transform, steps)
    for transform in transforms:
        transform.finish()
    is_new = any(transform.path.startswith("test_dataloader") for transform in transforms)
    on_canvas = is_new and bool(steps.pads)
    return (steps if preprocessor is None else _preprocess(preprocessor, steps)).image_input(), on_canvas


def read_crops(transforms: list[Section], preprocessor: Section | None, size: tuple[int, int]) -> ImageInput:
    """The input of a top-down network with crops of `size` (height, width) px."""
    steps = Steps(Crop(size, (1.25, 1.25), multiple=32))
    for transform in transforms:
        steps = _known(_TOP_DOWN, transform)(transform, steps)
        transform.finish()
    return (steps if preprocessor is None else _preprocess(preprocessor, steps)).image_input()


def read_wholes(transforms: list[Section], preprocessor: Section | None, size: tuple[int, int]) -> ImageInput:
    """The input of a bottom-up network with images of `size` (height, width) px."""
    steps = Steps(Cover(size))
    for transform in transforms:
        steps = _known(_BOTTOM_UP, transform)(transform, steps)
        transform.finish()
    return (steps if preprocessor is None else _preprocess(preprocessor, steps)).image_input()


def _known(table: Mapping[str, Read], step: Section) -> Read:
    if step.type not in table:
        raise ConfigError(f"{step.path}.type is {shown(step.type)}; supported: {', '.join(table)}")
    return table[step.type]


def _flat(transforms: list[Section]) -> list[Section]:
    """The transforms, with those inside mmdet 2.x's MultiScaleFlipAug unpacked."""
    flat: list[Section] = []
    for step in transforms:
        if step.type != "MultiScaleFlipAug":
            flat.append(step)
            continue
        step.fixed(flip=False, scale_factor=None)
        step.training("flip_direction")
        scales = step.pairs("img_scale") if step.is_nested("img_scale") else (step.integers("img_scale", count=2),)
        if len(scales) != 1:
            step.refuse("img_scale", "one scale")
        usual = {"scale": scales[0], "keep_ratio": True}
        flat += [each.with_defaults(**usual) if each.type == "Resize" else each for each in step.sections("transforms")]
    return flat


def _load(step: Section, steps: Steps) -> Steps:
    step.fixed(color_type="color", imdecode_backend="cv2", channel_order="rgb")
    step.training("backend_args", "file_client_args", "ignore_empty")
    return replace(steps, floats=step.flag("to_float32", False))


def _resize(step: Section, steps: Steps) -> Steps:
    if steps.place != Resize() or steps.pads:
        raise ConfigError(f"{step.path} comes after another Resize or Pad; supported: one Resize, before all else")
    if steps.floats:
        raise ConfigError(f"{step.path} resizes images of floats; supported: to_float32=False in LoadImageFromFile")
    step.fixed(scale_factor=None, interpolation="bilinear")
    how: Filter = step.choice("backend", {"cv2": "opencv", "pillow": "antialias"}, "cv2")
    step.training("clip_object_border", "bbox_clip_border", "override")
    width, height = (step.integer("scale"),) * 2 if step.is_number("scale") else step.integers("scale", count=2)
    if not (1 <= width <= LONGEST and 1 <= height <= LONGEST):
        step.refuse("scale", f"sides of 1 to {LONGEST} px")
    if step.flag("keep_ratio", False):
        return replace(steps, place=Resize((min(width, height), max(width, height)), "edges", filter=how))
    return replace(steps, place=Resize((height, width), keep_aspect=False, filter=how))


def _pad(step: Section, steps: Steps) -> Steps:
    step.fixed(padding_mode="constant")
    canvas = None if step.is_none("size") else step.integers("size", None, count=2)
    multiple = 1 if step.is_none("size_divisor") else step.integer("size_divisor", 1, most=1024)
    if step.flag("pad_to_square", False):
        size = steps.place.size
        if size is None or size[0] != size[1]:
            step.refuse("pad_to_square", "False, or a Resize to a square")
        canvas = size
    value = _pad_value(step)
    if steps.normalised and value:
        step.refuse("pad_val", "0 after Normalize")
    pad = Pad(canvas and (canvas[1], canvas[0]), multiple, value=None if steps.normalised else float(value))
    return replace(steps, pads=(*steps.pads, pad))


def _centered_pad(step: Section, steps: Steps) -> Steps:
    """CornerNet's and CenterNet's padding, in which images keep their size."""
    step.same("test_mode", True, False)
    step.fixed(border=None, ratios=None, crop_size=None, bbox_clip_border=True)
    mode, bits = step.pair("test_pad_mode")
    if mode != "logical_or" or type(bits) is not int or bits not in {(1 << i) - 1 for i in range(1, 11)}:
        step.refuse("test_pad_mode", "'logical_or' with 31, 127 or another power of two less one")
    rule: Literal["or", "or+1"] = step.choice("test_pad_add_pix", {0: "or", 1: "or+1"}, 0)
    mean = step.numbers("mean", count=3)
    step.numbers("std", count=3)
    color: Literal["rgb", "bgr"] = "rgb" if step.flag("to_rgb", True) else "bgr"
    pad = Pad(multiple=bits + 1, rule=rule, centered=True, value=0.0)
    return replace(steps, pads=(*steps.pads, pad), filled=(color, mean))


def _pad_value(step: Section) -> float:
    """One value for all channels: a number or three equal ones, also under the key `img`."""
    section, key = step, "pad_val"
    if step.is_dict("pad_val"):
        section, key = step.section("pad_val"), "img"
        section.training("seg", "masks")
    if key not in section or section.is_number(key):
        return section.number(key, 0)
    values = section.numbers(key, count=3)
    return values[0] if len(set(values)) == 1 else section.refuse(key, "one value for all channels")


def _normalize(step: Section, steps: Steps) -> Steps:
    color: Literal["rgb", "bgr"] = "rgb" if step.flag("to_rgb", True) else "bgr"
    return replace(steps, color=color, mean=step.numbers("mean", count=3), std=_std(step), normalised=True)


def _normalize_tensor(step: Section, steps: Steps) -> Steps:
    """mmpose 0.x reads RGB and normalises values in 0..1."""
    (r, g, b), (s, t, u) = step.numbers("mean", count=3), _std(step)
    return replace(steps, color="rgb", mean=(255.0 * r, 255.0 * g, 255.0 * b), std=(255.0 * s, 255.0 * t, 255.0 * u))


def _std(section: Section) -> Three:
    std = section.numbers("std", count=3)
    return std if all(value > 0 for value in std) else section.refuse("std", "values above 0")


def _preprocess(section: Section, steps: Steps) -> Steps:
    """Read `model.data_preprocessor`, which normalises and then pads in the frameworks since 2022."""
    section.typed("DetDataPreprocessor", "PoseDataPreprocessor")
    section.fixed(pad_value=0)
    section.training("batch_augments", "pad_mask", "mask_pad_value", "pad_seg", "seg_pad_value", "boxtype2tensor")
    section.training("non_blocking")
    if section.is_none("mean") or "mean" not in section:
        section.fixed(std=None)
    else:
        steps = replace(steps, mean=section.numbers("mean", count=3), std=_std(section))
    swaps = section.flag("bgr_to_rgb", False) or section.flag("rgb_to_bgr", False)
    pad = Pad(multiple=section.integer("pad_size_divisor", 1, most=1024))
    return replace(steps, color="rgb" if swaps else "bgr", pads=(*steps.pads, pad))


def _center_scale(step: Section, steps: Steps) -> Steps:
    padding = step.number("padding", 1.25)
    if not 0.1 <= padding <= 10:
        step.refuse("padding", "a factor of 0.1 to 10")
    return replace(steps, place=replace(steps.place, enlarge=(padding, padding)))


def _affine(step: Section, steps: Steps) -> Steps:
    height, width = steps.place.size
    step.same("input_size", (width, height), (width, height))  # mmpose 0.x has it elsewhere
    return replace(steps, place=replace(steps.place, spacing=step.flag("use_udp", False)))


def _whole(step: Section, steps: Steps) -> Steps:
    """mmpose 1.x, which warps with `use_udp` in another way than it maps results back."""
    height, width = steps.place.size
    step.same("input_size", (width, height))
    step.fixed(aug_scales=None, pad_val=(0, 0, 0), use_udp=False)
    multiple = step.integer("size_factor", 32, most=1024)
    inside = step.choice("resize_mode", {"fit": True, "expand": False}, "fit")
    if inside and (height % multiple or width % multiple):
        step.refuse("size_factor", f"a divisor of {width} and {height}")
    return replace(steps, place=Cover((height, width), multiple, inside=inside))


def _old_size(step: Section, steps: Steps) -> Steps:
    """mmpose 0.x, which computes the canvas in one transform and fills it in another."""
    step.fixed(current_scale=1)
    step.same("test_scale_factor", (1,))
    place = Cover(steps.place.size, step.integer("base_length", 64, most=1024), step.flag("use_udp", False))
    return replace(steps, place=place)


def _old_whole(step: Section, steps: Steps) -> Steps:
    step.same("base_length", steps.place.multiple, 64)
    step.same("use_udp", steps.place.spacing, False)
    for inner in step.sections("transforms"):
        steps = _known(_BOTTOM_UP, inner)(inner, steps)
    return steps


def _nothing(step: Section, steps: Steps) -> Steps:
    """A transform that does not change test images."""
    step.rest_trains()
    return steps


_DETECTION: dict[str, Read] = {
    "LoadImageFromFile": _load,
    "Resize": _resize,
    "Pad": _pad,
    "RandomCenterCropPad": _centered_pad,
    "Normalize": _normalize,
    **dict.fromkeys(("LoadAnnotations", "PackDetInputs", "RandomFlip"), _nothing),
    **dict.fromkeys(("ImageToTensor", "DefaultFormatBundle", "Collect"), _nothing),
}
_TOP_DOWN: dict[str, Read] = {
    **dict.fromkeys(("LoadImage", "LoadImageFromFile"), _load),
    **dict.fromkeys(("GetBBoxCenterScale", "TopDownGetBboxCenterScale"), _center_scale),
    **dict.fromkeys(("TopdownAffine", "TopDownAffine"), _affine),
    "NormalizeTensor": _normalize_tensor,
    **dict.fromkeys(("PackPoseInputs", "ToTensor", "Collect"), _nothing),
}
_BOTTOM_UP: dict[str, Read] = {
    **dict.fromkeys(("LoadImage", "LoadImageFromFile"), _load),
    "BottomupResize": _whole,
    "BottomUpGetImgSize": _old_size,
    "BottomUpResizeAlign": _old_whole,
    "NormalizeTensor": _normalize_tensor,
    **dict.fromkeys(("PackPoseInputs", "ToTensor", "Collect"), _nothing),
}
