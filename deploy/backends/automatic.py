"""The rule of `--backend auto`."""

from dataclasses import dataclass
from pathlib import Path

from ..card import METADATA_KEY, parse_card
from ..model_file.metadata import read_metadata
from ..system.errors import DetforgeError


@dataclass(frozen=True)
class Choice:
    """The chosen backend, and the reason as text for people."""

    backend: str
    why: str


def choose_backend(path: str, device: str) -> Choice:
    """The fastest backend that computes in the precision of the file.

    | file | backend on the CPU | reason |
    |---|---|---|
    | fp32, fp16, int8 | ONNX Runtime | within 10 % of OpenVINO's speed, starts faster, has our operators' kernels |
    | bf16 | OpenVINO | ONNX Runtime has no bf16 convolution on the CPU |

    On a GPU it is ONNX Runtime. An engine runs in the TensorRT runtime that built it.
    """
    if path.endswith(".engine"):
        from ..engine.description import read_description  # only engines need it

        return Choice(read_description(Path(path)).runtime, "the runtime that built the engine")
    if device != "cpu" or precision_of(path) != "bf16":
        return Choice("ort", "the fastest in the precision of the file")
    return Choice("openvino", "because ONNX Runtime does not run bf16 files on a CPU")


def precision_of(path: str) -> str | None:
    """The precision in the Card of an ONNX file; None without a Card."""
    try:
        return parse_card(read_metadata(Path(path)).get(METADATA_KEY), path).provenance.precision
    except DetforgeError:
        return None
