"""TensorRT and TensorRT-RTX as installed: their modules, which share one interface, and our plugins in them."""

import contextlib
import hashlib
import importlib
import importlib.util
import os
import threading
from pathlib import Path
from typing import Any, Literal

from ...plugins.core.libraries import library
from ..system.errors import AbsentError, IncompatibleError

Runtime = Literal["tensorrt", "tensorrt-rtx"]

_SUPPORTED = {"tensorrt": ("10.10", "12"), "tensorrt-rtx": ("1.1", "2")}  # from the one to before the other
_loaded: set[tuple[str, str]] = set()
_loading = threading.Lock()


def require(runtime: Runtime) -> str:
    """The name of the runtime's module; AbsentError where it is not installed."""
    name = runtime.replace("-", "_")
    if importlib.util.find_spec(name) is None:
        raise AbsentError(f"{runtime} is not installed; pip install 'detforge[{runtime}]'")
    return name


def module(runtime: Runtime) -> Any:
    """The runtime's module; IncompatibleError where it is absent, does not load, or is of a version we do not know."""
    name = require(runtime)
    try:
        trt: Any = importlib.import_module(name)
        version: str = trt.__version__
    except (ImportError, OSError, AttributeError, RuntimeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise IncompatibleError(
            f"{runtime} is installed without its libraries; {reason}; pip install --force-reinstall "
            f"'detforge[{runtime}]'"
        ) from error
    oldest, beyond = _SUPPORTED[runtime]
    if not numbers(oldest) <= numbers(version) < numbers(beyond):
        raise IncompatibleError(
            f"{runtime} {version} is not supported, {oldest} to before {beyond} is; pip install 'detforge[{runtime}]'"
        )
    return trt


def numbers(version: str) -> tuple[int, ...]:
    """A version to compare by: major and minor."""
    return tuple(int(part) for part in version.split(".")[:2])


def compute_capability(trt: Any, capability: str) -> Any:
    """TensorRT-RTX's own name of a compute capability such as "89"; IncompatibleError for one that it does not know."""
    known = {name[2:]: kind for name, kind in trt.ComputeCapability.__members__.items() if name.startswith("SM")}
    if capability not in known:
        names = ", ".join(sorted(known, key=lambda name: (len(name), name)))
        raise IncompatibleError(f"tensorrt-rtx {trt.__version__} knows no SM {capability}; it knows {names}; see --sm")
    return known[capability]


def plugin_library() -> Path | None:
    """The library of our operators as plugins; None where it was not built."""
    return library("detforge_trt")


def load_plugins(trt: Any, path: Path) -> None:
    """Make the plugins known to a runtime, once a process; RuntimeError when it does not take them."""
    key = (str(trt.__name__), str(path))
    with _loading:
        if key in _loaded:
            return
        if trt.get_plugin_registry().load_library(str(path)) is None:
            raise RuntimeError(f"{path} cannot be loaded as plugins")
        _loaded.add(key)


def library_path(runtime: Runtime, folder: Path) -> str:
    """LD_LIBRARY_PATH for the builder: plugins make TensorRT-RTX open itself by a name that its package lacks."""
    name = require(runtime)
    found = None
    with contextlib.suppress(ModuleNotFoundError):
        found = importlib.util.find_spec(f"{name}_libs")
    for place in (found and found.submodule_search_locations) or []:
        for versioned in Path(place).glob(f"lib{name}.so.*"):
            (folder / f"lib{name}.so").symlink_to(versioned)
            break
    return os.pathsep.join(path for path in (str(folder), os.environ.get("LD_LIBRARY_PATH", "")) if path)


def sha256(path: Path) -> str:
    """The sha256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
