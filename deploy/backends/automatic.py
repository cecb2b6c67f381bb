"""Which runtime `--backend auto` means for a file."""

import contextlib
import json
import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..card import METADATA_KEY
from ..model_file.inline import metadata_of


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
    """The precision that the Card of an ONNX file states, read without the rest of the file; None without a Card."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        with Path(path).open("rb") as file:
            mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        card: Any = json.loads(metadata_of(mapped)[METADATA_KEY])
        return card["provenance"]["precision"]
    return None
