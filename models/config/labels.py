"""The names of classes and keypoints in a checkpoint's `meta`."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ...deploy.contract.skeleton import Color, Skeleton
from .section import Section, shown
from .text import ConfigError

_USUAL_SIGMA = 0.05  # default of OKS
_CLASSES = ("classes", "CLASSES")
_PALETTES = ("palette", "PALETTE")
_NAMES = ("keypoint_name2id", "keypoint_id2name")


def read_labels(meta: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The names of classes, or None: `classes` or `CLASSES`, in `meta` (OpenMMLab 2.x) or its data set (3.x).

    They are one name, a list of names, or a list of COCO's categories.
    """
    places = (meta.get("dataset_meta"), meta.get("metainfo"), meta)
    found = next((own[key] for own in places if isinstance(own, dict) for key in _CLASSES if own.get(key)), None)
    entries = found if isinstance(found, list | tuple) else [found]
    names = [entry.get("name") if isinstance(entry, dict) else entry for entry in entries]
    return tuple(names) if all(type(name) is str and name.strip() for name in names) else None


def read_palette(meta: Mapping[str, Any], count: int) -> tuple[tuple[int, int, int], ...]:
    """The RGB colours of the first `count` classes in `palette`, beside the names of classes; none if it has fewer."""
    places = (meta.get("dataset_meta"), meta.get("metainfo"), meta)
    found = next((own[key] for own in places if isinstance(own, dict) for key in _PALETTES if own.get(key)), None)
    entries = found[:count] if isinstance(found, list | tuple) else ()
    return tuple((red, green, blue) for red, green, blue in entries) if _are_colors(entries, count) else ()


def _are_colors(entries: Sequence[Any], count: int) -> bool:
    parts = [entry for entry in entries if isinstance(entry, list | tuple) and len(entry) == 3]
    return len(parts) == count and all(type(value) is int and 0 <= value <= 255 for part in parts for value in part)


def stated_skeleton(meta: Mapping[str, Any]) -> Skeleton | None:
    """The keypoints that `meta` names, or None. Raises ConfigError if they contradict each other."""
    dataset = meta.get("dataset_meta", meta.get("metainfo"))
    return read_skeleton(dataset) if isinstance(dataset, dict) and any(dataset.get(key) for key in _NAMES) else None


def read_skeleton(dataset: Mapping[str, Any], path: str = "meta.dataset_meta") -> Skeleton:
    """Read the `dataset_meta` of mmpose 1.x: names, mirrored pairs, links and sigmas.

    Raises ConfigError if they contradict each other.
    """
    by_name, by_index = (dataset.get(key) for key in _NAMES)
    if not by_name and isinstance(by_index, dict):
        by_name = {name: index for index, name in by_index.items() if type(name) is str}
    if not isinstance(by_name, dict) or sorted(by_name.values(), key=str) != sorted(range(len(by_name)), key=str):
        raise ConfigError(f"{path}.{_NAMES[0]} is {shown(by_name)}; supported: an index for each name")
    names = tuple(sorted(by_name, key=lambda name: by_name[name]))
    flips = _indices(dataset, "flip_indices", len(names), path)
    if len(flips) not in (0, len(names)) or any(flips[flips[i]] != i for i in range(len(flips))):
        raise ConfigError(f"{path}.flip_indices is {shown(flips)}; supported: pairs that change places")
    links = dataset.get("skeleton_links")
    drawn = isinstance(links, list | tuple) and all(_is_indices(pair, len(names)) and len(pair) == 2 for pair in links)
    ends = tuple((pair[0], pair[1]) for pair in links) if drawn else ()
    sigmas = dataset.get("sigmas")
    return Skeleton(
        names,
        ends,
        tuple((i, j) for i, j in enumerate(flips) if i < j),
        tuple(sigmas) if _is_sigmas(sigmas, len(names)) else (_USUAL_SIGMA,) * len(names),
        _colors(dataset.get("keypoint_colors"), len(names)),
        _colors(dataset.get("skeleton_link_colors"), len(ends)),
    )


def read_old_skeleton(info: Section) -> Skeleton:
    """Read the `dataset_info` of mmpose 0.x, which has mirrored keypoints and links by name."""
    keypoints = info.numbered("keypoint_info")
    names = tuple(each.text("name") for each in keypoints)
    place = {name: i for i, name in enumerate(names)}
    swaps = [each.text("swap", "") for each in keypoints]
    pairs = tuple((i, place[swap]) for i, swap in enumerate(swaps) if swap in place and i < place[swap])
    lines = info.numbered("skeleton_info")
    ends = [each.texts("link", count=2) for each in lines]
    links = tuple((place[a], place[b]) for a, b in ends if a in place and b in place)
    colors = (
        _colors([each.those("color").get("color") for each in all_of], len(all_of)) for all_of in (keypoints, lines)
    )
    sigmas = info.numbers("sigmas", None)
    sigmas = sigmas if _is_sigmas(sigmas, len(names)) else (_USUAL_SIGMA,) * len(names)
    of_keypoints, of_links = colors
    return Skeleton(names, links, pairs, sigmas, of_keypoints, of_links if len(of_links) == len(links) else ())


def _indices(dataset: Mapping[str, Any], key: str, count: int, path: str) -> Sequence[int]:
    values = dataset.get(key) or ()
    if not _is_indices(values, count):
        raise ConfigError(f"{path}.{key} is {shown(values)}; supported: whole numbers below {count}")
    return values


def _is_indices(values: Any, count: int) -> bool:
    return isinstance(values, list | tuple) and all(type(value) is int and 0 <= value < count for value in values)


def _colors(values: Any, count: int) -> tuple[Color, ...]:
    """RGB colours, or none if they are not one for each of `count`."""
    if not isinstance(values, list | tuple) or len(values) != count:
        return ()
    found = [tuple(color) for color in values if isinstance(color, list | tuple) and len(color) == 3]
    fits = len(found) == count and all(type(value) is int and 0 <= value <= 255 for color in found for value in color)
    return tuple((r, g, b) for r, g, b in found) if fits else ()


def _is_sigmas(values: Any, count: int) -> bool:
    is_numbers = isinstance(values, list | tuple) and all(
        isinstance(value, float) and 0 < value < math.inf for value in values
    )
    return is_numbers and len(values) == count
