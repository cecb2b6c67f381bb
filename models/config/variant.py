"""Build a Variant from the configuration in a checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from ...deploy.contract.parse import FieldError
from ...deploy.contract.skeleton import Skeleton
from ...deploy.contract.suppression import Suppress
from ...deploy.forms import Coordinates, Dense, Heatmaps, Offsets, People, Roots, Tags
from ...deploy.forms.boxes import Clip
from ...deploy.forms.keypoints import KeypointForm
from ...deploy.inputs.network_inputs import ImageInput
from ..pose import OLD_HEAD, bottom_up, top_down
from ..variant import Variant
from .labels import read_labels, read_old_skeleton, read_palette, read_skeleton
from .mmpose0 import OLD, modern
from .network import BOTTOM_UP, TOP_DOWN, Network, read_network
from .pipeline import find_transforms, read_crops, read_images, read_wholes
from .section import Section
from .text import ConfigError, Text
from .thresholds import ALL, read_thresholds


@dataclass(frozen=True)
class Fact:
    """One fact that was read, as text, and the keys that it was read from."""

    what: str
    value: str
    keys: str


@dataclass(frozen=True)
class Described:
    """A Variant and the facts that it is based on."""

    variant: Variant
    facts: tuple[Fact, ...]


def describe(text: Text, meta: Mapping[str, Any]) -> Described:
    """The variant that a configuration describes, with the labels in `meta`, the metadata of the weights.

    Raises ConfigError for unreadable and unsupported values.
    """
    try:
        return _described(text, meta)
    except FieldError as error:  # a value that a Card cannot hold
        raise ConfigError(f"a value is out of range; {error}; give the configuration that was trained") from None


def _described(text: Text, meta: Mapping[str, Any]) -> Described:
    keys = _below(text, "model")
    old = text.values.get("test_cfg")
    if keys.keys() & {"bbox_head", "roi_head"} and isinstance(old, dict) and "type" not in old:
        keys = {"test_cfg": old} | keys  # older than mmdet 2.3
    model = Section(modern(keys, _below(text, "data_cfg")) if Section(keys, "model").type in OLD else keys, "model")
    network = read_network(model)
    found = _POSES.get(model.type, _detector)(text, meta, model, network)
    model.finish()
    return found


def _detector(text: Text, meta: Mapping[str, Any], model: Section, network: Network) -> Described:
    preprocessor = model.section("data_preprocessor")
    image, on_canvas = read_images(find_transforms(text.values), preprocessor)
    suppress, form = network.suppress, network.form
    if suppress is None:
        suppress, top_k = read_thresholds(model.section("test_cfg") or model.refuse("test_cfg", "a dict"))
        form = replace(form, top_k=top_k)
    labels = read_labels(meta) or ()
    if on_canvas and isinstance(form, Dense):
        form = replace(form, clip=_CANVAS.get(form.clip, form.clip))
    elif on_canvas and network.other_inputs:
        raise ConfigError("the test pipeline pads images; supported for two stages: pad_size_divisor alone")
    variant = Variant(
        **_common(network),
        form=form,
        input=image,
        fusion=network.fusion,
        suppress=suppress,
        labels=labels,
        colors=read_palette(meta, network.classes),
    )
    overlap = f"{suppress.kind} NMS at {suppress.iou:g}"
    overlap += ", of all classes together" if suppress.class_agnostic else ""
    overlap += ", voting" if suppress.voting else ""
    return Described(
        variant,
        (
            Fact("network", network.described, "model"),
            Fact("input", _image(variant), _images(preprocessor)),
            Fact("classes", f"{network.classes}: {_few(labels)}", "meta"),
            Fact("thresholds", f"score {suppress.conf:g}, {overlap}, {suppress.max_det} an image", "model.test_cfg"),
        ),
    )


_CANVAS: dict[Clip, Clip] = {"image": "canvas", "last_pixel": "last_canvas_pixel"}


def _top_down(text: Text, meta: Mapping[str, Any], model: Section, network: Network) -> Described:
    preprocessor = model.section("data_preprocessor")
    assert network.size is not None
    image = read_crops(find_transforms(text.values), preprocessor, network.size)
    skeleton = _skeleton(text, meta, network.classes)
    test = model.section("test_cfg")
    form = _spaced(_flipped(test, network.form), image)
    form = form if test is None else replace(form, reports=_reported(test, network.classes))
    variant = top_down(**_common(network), form=form, input=image, skeleton=skeleton)
    return _described_poses(variant, network, skeleton, preprocessor, form.flip)


def _bottom_up(text: Text, meta: Mapping[str, Any], model: Section, network: Network) -> Described:
    preprocessor = model.section("data_preprocessor")
    form = network.form
    assert network.size is not None and isinstance(form, Tags | Roots | People)
    image = read_wholes(find_transforms(text.values), preprocessor, network.size)
    decoder = model.section("head").section("decoder")
    decoder.same("use_udp", image.place.spacing, False)
    skeleton = _skeleton(text, meta, network.classes)
    if network.links not in (None, len(skeleton.links)):
        raise ConfigError(
            f"model.head.rescore_cfg is for {network.links} links and meta has {len(skeleton.links)}; "
            "give the configuration that was trained with --config"
        )
    if network.mirrors is not None and list(network.mirrors) != list(skeleton.mirrored()):
        raise ConfigError("meta has other flip_indices than COCO's; with flip_test this head supports only those")
    people = form.people if isinstance(form, Tags) else None
    flip = network.mirrors is not None if isinstance(form, People) else form.flip
    suppress = Suppress("none", conf=0.0, max_det=people or ALL)
    variant = bottom_up(**_common(network), form=form, input=image, skeleton=skeleton, suppress=suppress)
    return _described_poses(variant, network, skeleton, preprocessor, flip)


_POSES = {TOP_DOWN: _top_down, BOTTOM_UP: _bottom_up}


def _described_poses(
    variant: Variant, network: Network, skeleton: Skeleton, preprocessor: Section | None, flip: bool
) -> Described:
    swaps = f"{len(skeleton.pairs)} pairs change places" if flip else "no flip test"
    return Described(
        variant,
        (
            Fact("network", network.described, "model"),
            Fact("input", _image(variant), _images(preprocessor)),
            Fact("keypoints", f"{network.classes}: {_few(skeleton.keypoints)}; {swaps}", "meta, model.test_cfg"),
        ),
    )


def _spaced(form: KeypointForm, image: ImageInput) -> KeypointForm:
    """The form with its codec's spacing, where the warp of crops has another."""
    spacing = isinstance(form, Offsets) or (isinstance(form, Heatmaps) and form.method == "udp")
    return form if spacing == image.place.spacing else replace(form, spacing=spacing)


def _flipped(test: Section | None, form: KeypointForm) -> KeypointForm:
    """The form with the flip test of `test_cfg`."""
    if test is None:
        return replace(form, flip=False)
    test.training("output_heatmaps")  # maps beside the keypoints
    flipped = replace(form, flip=test.flag("flip_test", False))
    if isinstance(flipped, Coordinates):
        test.training("flip_mode", "shift_heatmap")
        return flipped if test.flag("shift_coords", True) else replace(flipped, shift=0.0)
    if not isinstance(flipped, Heatmaps | Offsets):  # bins know one way to be mirrored
        test.training("flip_mode", "shift_heatmap", "shift_coords")
        return flipped
    if isinstance(flipped, Heatmaps) and flipped.method == "integral":
        test.training("flip_mode", "shift_heatmap")
        return flipped if test.flag("shift_coords", True) else replace(flipped, shift=1.0)
    test.training("shift_coords")
    test.same("flip_mode", "heatmap" if isinstance(form, Heatmaps) else "udp_combined", "heatmap")
    return replace(flipped, shift=float(test.flag("shift_heatmap", False)))


def _reported(test: Section, count: int) -> tuple[int, ...]:
    """The indices of keypoints in `output_keypoint_indices`, none for all."""
    if "output_keypoint_indices" not in test or test.is_none("output_keypoint_indices"):
        return ()
    indices = test.integers("output_keypoint_indices")
    if not indices or len(set(indices)) < len(indices) or not set(indices) <= set(range(count)):
        test.refuse("output_keypoint_indices", f"indices below {count}, each once")
    return indices


def _skeleton(text: Text, meta: Mapping[str, Any], count: int) -> Skeleton:
    """The keypoints that are named, which must be `count`."""
    skeleton = _named_keypoints(text, meta)
    if len(skeleton.keypoints) != count:
        raise ConfigError(
            f"model.head has {count} keypoints and meta names {len(skeleton.keypoints)}; "
            "give the configuration that was trained with --config"
        )
    return skeleton


def _named_keypoints(text: Text, meta: Mapping[str, Any]) -> Skeleton:
    dataset = meta.get("dataset_meta")
    if isinstance(dataset, dict):
        return read_skeleton(dataset)
    info: Any = text.values
    for key in ("data", "test", "dataset_info"):
        info = info.get(key) if isinstance(info, dict) else None
    if isinstance(info, dict):
        return read_old_skeleton(Section(info, "data.test.dataset_info"))
    raise ConfigError("meta.dataset_meta is missing, which names the keypoints; name a model with --model instead")


def _common(network: Network) -> dict[str, Any]:
    """The fields of a Variant that the network determines."""

    def build(classes: int) -> nn.Module:
        if classes != network.classes:
            raise ConfigError(
                f"the configuration has {network.classes} classes or keypoints and the weights {classes}; "
                "give the configuration that was trained with --config"
            )
        return network.build(classes)

    return {
        "name": network.name,
        "paper": "",
        "summary": network.described,
        "build": build,
        "classes_key": network.classes_key,
        "beside_classes": network.beside_classes,
        "mapping": {**OLD_HEAD, **network.mapping},
        "unused": network.unused,
        "other_inputs": network.other_inputs,
    }


def _below(text: Text, key: str) -> dict[Any, Any]:
    if key in text.unread:
        raise ConfigError(f"{key}: {text.unread[key]}")
    value = text.values.get(key)
    if not isinstance(value, dict):
        raise ConfigError(f"{key} is missing; give the whole configuration, dumped by the framework, with --config")
    return value


def _image(variant: Variant) -> str:
    """The network's input, as text."""
    image = variant.input
    values = f"{image.color}, mean {_numbers(image.mean)}, std {_numbers(image.std)}"
    return f"{image.place.label}, {values}"


def _images(preprocessor: Section | None) -> str:
    return "data.test.pipeline" if preprocessor is None else "test_dataloader, model.data_preprocessor"


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:g}" for value in values)


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "") if names else "unnamed"
