"""Foreign ONNX files: read as untrusted data, and run as they are."""

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import external_data_helper

from ...deploy.backends.ort import OrtBackend
from ...deploy.card import METADATA_KEY
from ...deploy.contract.port import Arrays
from ...deploy.system.errors import IncompatibleError, InputError, UsageError

_ONNX: Any = onnx
_EXTERNAL: Any = external_data_helper
_LARGEST = 2**31 - 1
"""The largest message of protobuf in bytes."""
_FIRST_WITHOUT = 4
"""The first version of ONNX in which weights are no inputs."""

DTYPES: dict[int, type[np.generic]] = {
    onnx.TensorProto.FLOAT: np.float32,
    onnx.TensorProto.FLOAT16: np.float16,
    onnx.TensorProto.UINT8: np.uint8,
    onnx.TensorProto.INT8: np.int8,
    onnx.TensorProto.INT32: np.int32,
    onnx.TensorProto.INT64: np.int64,
}


@dataclass(frozen=True)
class Declared:
    """An input or output as the file declares it; a free side is None, an unknown shape is ()."""

    name: str
    dtype: int
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        sides = ", ".join("?" if side is None else str(side) for side in self.shape)
        return f"{self.name} ({sides}) {np.dtype(DTYPES[self.dtype]) if self.dtype in DTYPES else 'of another type'}"


@dataclass(frozen=True)
class Foreign:
    """A foreign model: its graph with all weights inside, and the sha256 of its file."""

    path: Path
    proto: onnx.ModelProto
    sha256: str

    @property
    def inputs(self) -> list[Declared]:
        """The inputs that a caller feeds."""
        return [_declared(each) for each in self.proto.graph.input]

    @property
    def outputs(self) -> list[Declared]:
        """The outputs in the file's order."""
        return [_declared(each) for each in self.proto.graph.output]

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata of the file."""
        return {entry.key: entry.value for entry in self.proto.metadata_props}

    @property
    def opset(self) -> int:
        """The version of the standard operators."""
        return max((each.version for each in self.proto.opset_import if each.domain in ("", "ai.onnx")), default=0)

    def opened(self) -> "Running":
        """The file in ONNX Runtime. Raises InputError if it does not load."""
        return Running(self)


class Running:
    """A model that runs in ONNX Runtime."""

    def __init__(self, foreign: Foreign) -> None:
        self._path = foreign.path
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "model.onnx"
            copy.write_bytes(foreign.proto.SerializeToString())
            try:
                self._backend = OrtBackend(str(copy))
            except (IncompatibleError, InputError) as error:
                reason = _line(str(error.__cause__ or error)).rpartition("failed:")[2]
                raise InputError(f"{foreign.path}: does not load; {reason}; export it again") from error

    def run(self, feeds: dict[str, NDArray[Any]]) -> Arrays:
        """The outputs by name. Raises IncompatibleError if the file does not take these inputs."""
        try:
            return self._backend.run(feeds)
        except Exception as error:
            shapes = ", ".join(f"{name} {'x'.join(map(str, value.shape))}" for name, value in feeds.items())
            raise IncompatibleError(
                f"{self._path}: does not run on {shapes}; {_line(str(error))}; give its size with --imgsz"
            ) from error


def read_foreign(path: Path) -> Foreign:
    """Read a foreign file and the weights beside it. Raises InputError, or UsageError for a file that is ours."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read; {error.strerror}; give an ONNX file") from error
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except Exception as error:  # protobuf raises several types
        raise InputError(f"{path}: not an ONNX file, or a truncated one; copy or download it again") from error
    if not proto.graph.node or not proto.graph.input or not proto.graph.output:
        raise InputError(f"{path}: not an ONNX model; it has no nodes, inputs or outputs; copy or download it again")
    if any(entry.key == METADATA_KEY for entry in proto.metadata_props):
        raise UsageError(
            f"{path}: a detforge file already; run it with detinfer, or change it with detexport --relabel"
        )
    digest = hashlib.sha256(data)
    _take_in_weights(path, proto, digest)
    _without_stored_inputs(proto)
    return Foreign(path, proto, digest.hexdigest())


def _without_stored_inputs(proto: onnx.ModelProto) -> None:
    """Remove the weights from the inputs, where files of before 2019 list them."""
    stored = {each.name for each in proto.graph.initializer}
    inputs = [each for each in proto.graph.input if each.name not in stored]
    del proto.graph.input[:]
    proto.graph.input.extend(inputs)
    proto.ir_version = max(proto.ir_version, _FIRST_WITHOUT)


def _take_in_weights(path: Path, proto: onnx.ModelProto, digest: Any) -> None:
    """Move weights that are stored in files beside the model into it."""
    folder, total = path.absolute().parent.resolve(), proto.ByteSize()
    outside = [each for each in _EXTERNAL._get_all_tensors(proto) if _EXTERNAL.uses_external_data(each)]
    for tensor in outside:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        place = (folder / location).resolve()
        if not location or PurePosixPath(location).is_absolute() or not place.is_relative_to(folder):
            raise InputError(
                f"{path}: its weights are in '{location}', outside its folder; such a file is not opened; "
                "save it with its weights inside"
            )
        data = _part(path, place, entries)
        total += len(data)
        if total > _LARGEST:
            raise InputError(f"{path}: has more than 2 GB of weights; one ONNX file holds no more")
        digest.update(data)
        tensor.raw_data = data
        del tensor.external_data[:]
        tensor.data_location = onnx.TensorProto.DEFAULT


def _part(path: Path, place: Path, entries: dict[str, str]) -> bytes:
    """The bytes of one tensor in the file that holds it."""
    try:
        offset, length = int(entries.get("offset", "0")), int(entries.get("length", "-1"))
        if not place.is_file():
            raise InputError(f"{path}: its weights {place.name} are missing; copy them beside it")
        size = place.stat().st_size
        length = size - offset if length < 0 else length
        if not (0 <= offset <= size and length <= min(size - offset, _LARGEST)):
            raise InputError(f"{path}: its weights {place.name} are truncated; copy them again")
        with place.open("rb") as file:
            file.seek(offset)
            return file.read(length)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: its weights {place.name} cannot be read; {error}; copy them again") from error


def _declared(value: onnx.ValueInfoProto) -> Declared:
    tensor = value.type.tensor_type
    sides: Sequence[Any] = tensor.shape.dim
    return Declared(value.name, tensor.elem_type, tuple(side.dim_value or None for side in sides))


def _line(message: str) -> str:
    """The first line of a message, shortened."""
    return next(iter(message.strip().splitlines()), "").strip()[:300]
