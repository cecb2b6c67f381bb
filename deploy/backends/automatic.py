"""Which runtime `--backend auto` means for a file."""

from dataclasses import dataclass
from pathlib import Path

from ..card import METADATA_KEY, parse_card
from ..model_file.metadata import read_metadata
from ..system.errors import DetforgeError


@dataclass(frozen=True)
class Choice:
    """A backend's name, and why it is the one, for people."""

    backend: str
    why: str


def choose_backend(path: str, device: str) -> Choice:
    """The fastest backend that calculates in the file's own precision.

    | file | on the CPU | |
    |---|---|---|
    | fp32, fp16, int8 | ONNX Runtime | as fast within a tenth, starts sooner, and has our operators' kernels |
    | bf16 | OpenVINO | ONNX Runtime has no convolution in bf16 there |

    On a GPU it is ONNX Runtime; an engine has its own.
    """
    if path.endswith(".engine"):
        from ..engine.description import read_description  # which ONNX files do without

        return Choice(read_description(Path(path)).runtime, "an engine runs on nothing else")
    if device != "cpu" or precision_of(path) != "bf16":
        return Choice("ort", "the fastest that keeps the precision of the file")
    return Choice("openvino", "since the file is in bf16, which ONNX Runtime does not run on a CPU")


def precision_of(path: str) -> str | None:
    """The precision that the Card of an ONNX file states; None without a Card."""
    try:
        return parse_card(read_metadata(Path(path)).get(METADATA_KEY), path).provenance.precision
    except DetforgeError:
        return None
