"""An exported file to a TensorRT engine: the plan, and beside it what it is."""

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
    """What the user asks of an engine; `batch` is the smallest, the usual and the largest, by default what fits."""

    batch: tuple[int, int, int] | None = None
    timing_cache: Path | None = None

    def check(self) -> None:
        """UsageError for what contradicts itself, IncompatibleError where the runtime, or a GPU for it, is absent."""
        if self.batch is not None and list(self.batch) != sorted(self.batch):
            low, usual, high = self.batch
            raise UsageError(f"batches of {low}, {usual} and {high}: --min-, --opt- and --max-batch have to rise")
        if self.timing_cache is not None and self.runtime == "tensorrt-rtx":
            raise UsageError("--timing-cache is for --runtime tensorrt; TensorRT-RTX measures nothing to keep")
        if self.timing_cache is not None:
            check_place(self.timing_cache)
        super().check()
        if self.runtime == "tensorrt":
            Device(0)


def build_engine(path: Path, card: Card, options: EngineOptions, watch: Watch = lambda _: None) -> Description:
    """Build FILE.engine and its description FILE.engine.json from FILE.onnx; gives the description.

    Raises IncompatibleError without the runtime or for a file that its Card does not fit, UsageError for options that
    contradict the file, ExportError when the network cannot be built or is not what was asked for.
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
