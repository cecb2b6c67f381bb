"""Build a TensorRT engine from an exported file: FILE.engine and its description FILE.engine.json."""

from dataclasses import asdict, dataclass
from pathlib import Path

from ..deploy.card import Card
from ..deploy.engine.build import BuildOptions, Watch, build
from ..deploy.engine.cuda_memory import Device
from ..deploy.engine.description import Description, describe, write_engine
from ..deploy.engine.onnx_file import read_onnx
from ..deploy.engine.profile import profile
from ..deploy.system.errors import UsageError
from ..deploy.system.files import check_place


@dataclass(frozen=True)
class EngineOptions(BuildOptions):
    """Options of an engine build. `batch` is the smallest, the optimal and the largest size; default: chosen to fit."""

    batch: tuple[int, int, int] | None = None
    timing_cache: Path | None = None

    def check(self) -> None:
        """Raise UsageError for contradictory options, IncompatibleError if the runtime or its GPU is missing."""
        if self.batch is not None and list(self.batch) != sorted(self.batch):
            low, usual, high = self.batch
            raise UsageError(f"batches of {low}, {usual} and {high}: --min-, --opt- and --max-batch must not decrease")
        if self.timing_cache is not None and self.runtime == "tensorrt-rtx":
            raise UsageError("--timing-cache is for --runtime tensorrt; TensorRT-RTX measures nothing to keep")
        if self.timing_cache is not None:
            check_place(self.timing_cache)
        super().check()
        if self.runtime == "tensorrt":
            Device(0)


def build_engine(path: Path, card: Card, options: EngineOptions, watch: Watch = lambda _: None) -> Description:
    """Build FILE.engine and FILE.engine.json from FILE.onnx, and return the description.

    Raises IncompatibleError if the runtime is missing or the Card does not fit the file, UsageError for options that
    contradict the file, and ExportError if the network cannot be built or differs from the request.
    """
    file = read_onnx(path)
    shapes = profile(file.inputs, card, options.batch)
    names = asdict(options)
    request = BuildOptions(**{name: names[name] for name in asdict(BuildOptions(options.runtime))})
    device = 0 if options.runtime == "tensorrt" else None
    sm = options.sm if device is None else (Device(device).capability,)

    def make(plan: Path) -> Description:
        precision = card.provenance.precision
        cache = options.timing_cache
        built = build(path, file, precision, shapes, request, plan, device=device, timing_cache=cache, watch=watch)
        return describe(built, plan, card, file.sha256, request, shapes, sm)

    return write_engine(path.with_suffix(".engine"), make)
