"""Engines of ONNX files that were asked to run on TensorRT: built once, found by everything that they depend on."""

import hashlib
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..card import METADATA_KEY, parse_card
from ..system.errors import IncompatibleError, InputError
from .build import BuildOptions, build
from .cuda_memory import Device
from .description import Description, check_fits, describe, read_description, write_engine
from .onnx_file import OnnxFile, read_onnx
from .profile import Profile, profile
from .progress import build_shown
from .runtime import Runtime, module, plugin_library, require, sha256


def find_engine(path: Path, runtime: Runtime, device: int) -> Path:
    """The engine of an ONNX file for a GPU in the cache; IncompatibleError when none is there. Builds nothing."""
    gpu = Device(device)
    place = _place(path, read_onnx(path), runtime, gpu)[0]
    if not _is_usable(place, runtime, gpu):
        raise IncompatibleError(
            f"{path}: no engine of it for this GPU and {runtime} is in the cache; loading builds none; "
            f"detinfer IMAGE --model {path} --backend {runtime} does"
        )
    return place


def ensure_engine(path: Path, runtime: Runtime, device: int) -> Path:
    """The same, built and kept when it is not there whole and fitting, which is said on stderr before it starts.

    Raises what `build` does, and IncompatibleError for a file without a Card.
    """
    require(runtime)
    file, gpu = read_onnx(path), Device(device)
    place, request, shapes = _place(path, file, runtime, gpu)
    if _is_usable(place, runtime, gpu):
        return place
    print(f"building a {runtime} engine of {path} for {gpu.name}, once; it takes minutes", file=sys.stderr)
    card = parse_card(file.metadata.get(METADATA_KEY), path)
    timings = None
    if runtime == "tensorrt":  # TensorRT-RTX measures nothing
        timings = place.with_name(f"timings-{module(runtime).__version__}-sm{gpu.capability}.cache")

    def make(plan: Path) -> Description:
        precision = card.provenance.precision
        built = build(path, file, precision, shapes, request, plan, device=device, timing_cache=timings, watch=watch)
        return describe(built, plan, card, file.sha256, request, shapes, (gpu.capability,))

    with build_shown() as watch:
        write_engine(place, make)
    print(f"kept as {place}", file=sys.stderr)
    return place


def _is_usable(place: Path, runtime: Runtime, gpu: Device) -> bool:
    """Whether an engine is there, whole and for what is here."""
    try:
        check_fits(read_description(place), place, module(runtime).__version__, gpu.capability)
    except (InputError, IncompatibleError):
        return False
    return True


def _place(path: Path, file: OnnxFile, runtime: Runtime, gpu: Device) -> tuple[Path, BuildOptions, Profile]:
    """Where the engine belongs: its name is the digest of all that it depends on."""
    request = BuildOptions(runtime, sm=(gpu.capability,) if runtime == "tensorrt-rtx" else ())
    shapes = profile(file.inputs, parse_card(file.metadata.get(METADATA_KEY), path), None)
    plugins = plugin_library() if file.operators else None
    key: dict[str, Any] = {
        "onnx": file.sha256,
        "version": module(runtime).__version__,
        "gpu": [gpu.name, gpu.capability],
        "plugins": None if plugins is None else sha256(plugins),
        "profile": shapes,
        **asdict(request),
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return _folder() / f"{path.stem}-{digest[:16]}.engine", request, shapes


def _folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "detforge" / "engines"
