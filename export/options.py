"""The options of an export: one list for the keywords of `export()` and the flags of detexport."""

import argparse
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from ..deploy.contract.choices import Precision
from ..deploy.system.errors import UsageError
from ..deploy.system.flags import number, option, whole

Nms = Literal["none", "graph"]
Verify = Literal["tensor", "off"]
Format = Literal["onnx", "openvino"]
Runtime = Literal["ort", "tensorrt", "tensorrt-rtx"]


_PART = number(0, 1)


def _batch(text: str) -> int | None:
    if text == "dynamic":
        return None
    if not re.fullmatch("[0-9]{1,9}", text):
        raise argparse.ArgumentTypeError(f"'{text}' is not an integer or 'dynamic'")
    return int(text)


@dataclass(frozen=True)
class ExportOptions:
    """The options of an export.

    `checkpoint` is a file, a URL or "random"; the default is the published one. The configuration in a user's own
    checkpoint, or in the file `config`, determines the export unless `ignore_config` is set. With `format` "openvino"
    the file has no functions and OpenVINO verifies it, as it does all bf16 files. `imgsz` = (height, width) px and
    `batch` fix sizes that are dynamic otherwise. `images` is a folder of images for the verification; if it holds an
    annotations.json in COCO's format, the change of AP is measured for int8. int8 is calibrated on `calib_n` images
    of the folder `calib`, for the `runtime` that will run the file. `reference_json` holds another framework's
    detections on `images`; the export counts how many of them the file finds. `solid` describes the rigid object whose
    pose the network finds. `output` is the ONNX file.
    """

    checkpoint: str | Path | None = option(
        ".pth, .safetensors, .npz, .pdparams, .pkl, .weights or .onnx (default: the published one); random: seeded "
        "random weights, for a smoke test",
        metavar="FILE|URL|random",
    )
    config: str | Path | None = option(
        "the training configuration, as one flat file, if the checkpoint has none", type=Path, metavar="FILE"
    )
    ignore_config: bool = option("export --model and ignore the checkpoint's configuration", False, action="store_true")
    precision: Precision = option("", "fp32")
    format: Format = option("", "onnx")
    imgsz: tuple[int, int] | None = option("fix the canvas (default: any size)", nargs=2, type=int, metavar=("H", "W"))
    batch: int | None = option("fix the batch size (default: dynamic)", type=_batch, metavar="N|dynamic")
    nms: Nms = option("graph: suppression inside the file", "none", choices=get_args(Nms))
    conf: float | None = option("score threshold, stored in the file (default: the model's)", type=_PART, metavar="P")
    iou: float | None = option("NMS threshold, stored in the file (default: the model's)", type=_PART, metavar="P")
    max_det: int | None = option(
        "most detections per image, stored in the file (default: the model's)", type=int, metavar="N"
    )
    labels: str | Path | None = option(
        "class or keypoint names, one per line, empty for no class (default: the checkpoint's)",
        type=Path,
        metavar="FILE",
    )
    solid: str | Path | None = option(
        "JSON of the object whose pose the network finds: corners low and high of its box, keypoints, unit",
        type=Path,
        metavar="FILE",
    )
    verify: Verify = option(
        "tensor: compare the file with PyTorch and keep it only if they agree (default: %(default)s)",
        "tensor",
        choices=get_args(Verify),
    )
    atol: float | None = option(
        "allowed absolute difference, times 8 strides for boxes (default: by precision)", type=float, metavar="X"
    )
    rtol: float | None = option("allowed relative difference (default: by precision)", type=float, metavar="X")
    images: str | Path | None = option("photographs to verify with (default: made-up ones)", type=Path, metavar="DIR")
    reference_json: str | Path | None = option(
        "another framework's results on --images in COCO's format, to count matches", type=Path, metavar="FILE"
    )
    calib: str | Path | None = option(
        "images to calibrate int8 with, of the kind that it will run on", type=Path, metavar="DIR"
    )
    calib_n: int = option("number of them (default: %(default)s)", 256, type=whole(1, 100_000), metavar="N")
    runtime: Runtime = option("", "ort")
    output: str | Path | None = option(
        "the ONNX file (default: exports/MODEL.onnx)", short=("-o",), type=Path, metavar="PATH"
    )

    def check(self) -> None:
        """Raise UsageError for a value out of range."""
        if self.batch is not None and not 1 <= self.batch <= 1024:
            raise UsageError(f"batch {self.batch} is out of range; give 1 to 1024, or leave it dynamic")
        if self.max_det is not None and not 1 <= self.max_det <= 100_000:
            raise UsageError(f"max_det {self.max_det} is out of range; give 1 to 100000")
        for name in ("conf", "iou"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise UsageError(f"{name} {value} is out of range; give 0 to 1")
        for name in ("atol", "rtol"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise UsageError(f"{name} {value} is out of range; give 0 or more")
        if self.output is not None and Path(self.output).suffix != ".onnx":
            raise UsageError(f"output {self.output}: the name of an ONNX file must end with .onnx")
