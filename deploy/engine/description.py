"""What stands beside a plan: FILE.engine is the plan alone, FILE.engine.json says what it is and what it needs."""

import contextlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from ...plugins.core.libraries import WITH_NVCC
from ..card import Card
from ..contract.parse import FieldError, parse, require
from ..system.errors import DetforgeError, IncompatibleError, InputError
from ..system.files import replacing
from .build import Build, BuildOptions
from .layers import Layer, count_precisions, plugins_of
from .runtime import Runtime, numbers, plugin_library, sha256

SCHEMA = 1
Bounds = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True)
class Plugin:
    """One of our operators in the engine, and how many layers it has."""

    name: str
    version: str
    namespace: str
    layers: int


@dataclass(frozen=True)
class Plugins:
    """The operators that run as plugins, and the library that has them; `embedded` in the plan, or to be installed."""

    library: str
    sha256: str
    embedded: bool
    operators: tuple[Plugin, ...]


@dataclass(frozen=True)
class Description:
    """Everything that running a plan needs beside it, and all that it was built from.

    `sm` are the compute capabilities that it runs on, those that TensorRT-RTX chose where it is empty. `precisions`
    counts the layers of each kind in each type; `engine_layers` is null where no GPU let the engine be opened.
    """

    card: Card
    onnx_sha256: str
    plan_sha256: str
    runtime: Runtime
    version: str
    sm: tuple[str, ...]
    workspace: int | None
    weight_streaming: bool
    hw_compat: bool
    version_compat: bool
    profile: dict[str, Bounds]
    plugins: Plugins | None
    precisions: dict[str, dict[str, int]]
    layers: tuple[Layer, ...]
    engine_layers: tuple[Layer, ...] | None
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        # Major and minor are compared as numbers; what follows may be a pre-release's.
        is_version = re.fullmatch(r"[0-9]{1,6}\.[0-9]{1,6}(\.[0-9A-Za-z]+)*", self.version) is not None
        require(is_version, "version", "numbers with dots")
        require(all(re.fullmatch("[0-9]{2,3}", sm) for sm in self.sm), "sm", "compute capabilities like 86")


def sidecar(plan: Path) -> Path:
    """Where the description of a plan is."""
    return plan.with_name(plan.name + ".json")


def describe(
    built: Build, plan: Path, card: Card, onnx_sha256: str, options: BuildOptions, profile: Any, sm: Sequence[str]
) -> Description:
    """The description of a plan that was just built for the compute capabilities `sm`."""
    plugins = None
    if built.plugins is not None:
        names = {layer.plugin[0]: layer.plugin for layer in built.layers if layer.plugin is not None}
        count = plugins_of(built.layers)
        operators = tuple(Plugin(*names[name], count[name]) for name in sorted(count))
        plugins = Plugins(built.plugins.name, sha256(built.plugins), built.embedded, operators)
    flags = {name: value for name, value in asdict(options).items() if name != "sm"}
    return Description(
        card=card,
        onnx_sha256=onnx_sha256,
        plan_sha256=sha256(plan),
        version=built.version,
        sm=tuple(sm),
        profile=dict(profile),
        plugins=plugins,
        precisions=count_precisions(built.layers),
        layers=built.layers,
        engine_layers=built.engine_layers,
        **flags,
    )


def read_description(plan: Path) -> Description:
    """The description of a plan, which has to be whole and of that plan; InputError without the plan."""
    if not plan.is_file():
        raise InputError(f"{plan}: no such model file; build one with detexport --format engine")
    path = sidecar(plan)
    remedy = f"copy both files together, or {rebuild(plan, 'tensorrt')}"
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise IncompatibleError(f"{plan}: its description {path.name} is missing; {remedy}") from None
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise IncompatibleError(f"{path}: the engine's description cannot be read; {reason}; {remedy}") from None
    schema: Any = cast(dict[str, Any], data).get("schema") if isinstance(data, dict) else None
    if isinstance(schema, int) and schema > SCHEMA:
        raise IncompatibleError(f"{path}: of schema {schema}, newer than {SCHEMA}; pip install --upgrade detforge")
    try:
        if not isinstance(data, dict):
            raise FieldError("not a JSON object")
        description: Description = parse(Description, data, "")
    except FieldError as error:
        raise IncompatibleError(f"{path}: the engine's description does not parse; {error}; {remedy}") from None
    if sha256(plan) != description.plan_sha256:
        raise IncompatibleError(f"{plan}: truncated, damaged, or not the plan that {path.name} describes; {remedy}")
    return description


def check_fits(description: Description, plan: Path, version: str, capability: str) -> None:
    """IncompatibleError unless the installed runtime, GPU and plugins are what the plan was built for."""
    wanted, remedy = description, rebuild(plan, description.runtime)
    same = numbers(version) == numbers(wanted.version) and version.split(".")[:3] == wanted.version.split(".")[:3]
    newer = wanted.version_compat and version.split(".")[0] == wanted.version.split(".")[0]
    if not same and not (newer and numbers(version) >= numbers(wanted.version)):
        raise IncompatibleError(
            f"{plan}: built with {wanted.runtime} {wanted.version}, and {version} is installed; {remedy}"
        )
    newer_gpu = wanted.hw_compat and all(int(sm) >= 80 for sm in (capability, *wanted.sm))
    if wanted.sm and capability not in wanted.sm and not newer_gpu:
        raise IncompatibleError(
            f"{plan}: built for GPUs of SM {' and '.join(wanted.sm)}, and here is SM {capability}; {remedy}"
        )
    if wanted.plugins is None or wanted.plugins.embedded:
        return
    library = plugin_library()
    if library is None:
        raise IncompatibleError(
            f"{plan}: needs the plugins {', '.join(plugin.name for plugin in wanted.plugins.operators)}, and detforge "
            f"was installed without nvcc; {WITH_NVCC}"
        )
    if sha256(library) != wanted.plugins.sha256:
        raise IncompatibleError(f"{plan}: built with another {library.name} than the one here; {remedy}")


def rebuild(plan: Path, runtime: Runtime) -> str:
    """How to have an engine of the same network here: from the ONNX file, which has all that the engine was made of."""
    return f"build it here from its ONNX file: detinfer IMAGE --model {plan.with_suffix('.onnx')} --backend {runtime}"


def write_engine(plan: Path, make: Callable[[Path], Description]) -> Description:
    """Have `make` write a plan and describe it, and leave both files, or neither."""
    for path in (plan, sidecar(plan)):
        if path.is_dir():  # told before the build, and while both files of an older engine are there
            raise DetforgeError(f"{path}: cannot be written; it is a folder; move it away, or choose another name")
    with contextlib.ExitStack() as undo:
        with replacing(sidecar(plan)) as described:
            with replacing(plan) as temporary:
                description = make(temporary)
                described.write_text(json.dumps(asdict(description), indent=1) + "\n", encoding="utf-8")
            undo.callback(plan.unlink, missing_ok=True)
        undo.pop_all()  # both are in their places
    return description
