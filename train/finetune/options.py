"""The options of fine-tuning."""

from dataclasses import dataclass
from pathlib import Path

from ...deploy.system.flags import device, number, option, whole


@dataclass(frozen=True)
class FinetuneOptions:
    """The options of fine-tuning.

    `data` holds annotations in COCO's format of the images in the folder `images`. `val` and `val_images` are the same
    for the evaluation; without `val` every tenth image of `data` is held out for it. `model`, `checkpoint`, `config`
    and `ignore_config` choose the network as detexport does. Half of the images are shown mirrored, with `no_mirror`
    none. `output` is a folder; with `resume` the training that was interrupted there goes on.
    """

    data: Path = option("annotations in COCO's format", type=Path, required=True, metavar="FILE.json")
    images: Path = option("the folder of their images", type=Path, required=True, metavar="DIR")
    checkpoint: str | None = option(
        "weights to start from (default: the model's published ones), or random", metavar="FILE|URL|random"
    )
    model: str | None = option("the network (default: that of the checkpoint's configuration)", metavar="NAME")
    config: Path | None = option("the checkpoint's configuration, if it has none", type=Path, metavar="FILE")
    ignore_config: bool = option("ignore the checkpoint's configuration", False, action="store_true")
    val: Path | None = option(
        "annotations to evaluate with (default: a tenth of the images is held out)", type=Path, metavar="FILE.json"
    )
    val_images: Path | None = option("the folder of their images (default: --images)", type=Path, metavar="DIR")
    epochs: int = option("times that every image is shown (default: %(default)s)", 12, type=whole(1, 10_000))
    batch: int = option("images a step (default: %(default)s)", 8, type=whole(1, 1024))
    rate: float = option("largest learning rate (default: %(default)s)", 5e-4, type=number(1e-8, 1))
    no_mirror: bool = option("never mirror images, for text and codes", False, action="store_true")
    seed: int = option("(default: %(default)s)", 0, type=whole(0, 999_999_999))
    device: str | None = option("(default: a GPU if there is one)", type=device, metavar="cpu|cuda:N")
    resume: bool = option("go on with an interrupted training", False, action="store_true")
    output: Path = option(
        "folder of the results (default: %(default)s)", Path("runs/finetune"), short=("-o",), type=Path
    )
