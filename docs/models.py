"""Write the table of all networks, docs/models.md, and their numbers of parameters: `python docs/models.py`.

`--measure NAME...` exports the models with random weights, measures the files, and stores the results in
docs/models.json, which the table shows. These results do not depend on the weights.
"""

import argparse
import itertools
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FIGURES, PAGE = HERE / "models.json", HERE / "models.md"
TESTS = HERE.parent / "tests"
PRECISIONS = ("fp32", "fp16", "int8")
CANVAS, THREADS, RUNS = (480, 640), 2, 10
SCENES, SIDE = 8, 640
ARCHIVES = {"arXiv": "https://arxiv.org/abs/", "doi": "https://doi.org/"}

HEAD = f"""# Networks

All that `detexport --model NAME` knows, written by `docs/models.py` from the variant table; edit neither by hand.
Tiny `_test` variants are left out.

- AP is COCO's, of boxes or for pose networks of keypoints, as the authors of the checkpoint state it, and the link is
  where `detexport` gets it. Those without a link are loaded with `--checkpoint FILE`: their authors keep them where no
  program can fetch them, or have published none.
- golden: a test compares the network with OpenMMLab's numbers, every tensor and every detection or keypoint.
- fp32, fp16, int8: the largest difference between the exported file and PyTorch in fp32, boxes in px and scores or
  maps, raw outputs, over four inputs. "rejected" marks a file whose difference `detexport` does not accept. Random
  weights say little about int8: its error depends on the values that training makes. It is calibrated on {SCENES}
  generated images.
- CPU: the network alone, batch 1, ONNX Runtime on {THREADS} threads, best of {RUNS}. The input is one crop, or a
  canvas of {CANVAS[0]}x{CANVAS[1]} px or the next size that the network takes.
- RTX: whether `detexport --fp16 --format engine --runtime tensorrt-rtx --sm 89` builds, our operators as
  plugins; built without a GPU and not run. `--nms graph` builds with our plugin alone: it lacks NonMaxSuppression.
- Parity, time and size are measured on random weights by `docs/models.py --measure`. Times come from a busy machine
  ({{machine}}): compare them with one another, roughly. They are left out where it was too busy for that.

| model | paper | what it is | AP | checkpoint | parameters | golden | fp32 | fp16 | int8 | CPU | file | RTX |
|---|---|---|---|---|---|---|---|---|---|---|---|---|
"""


def main() -> None:
    from detforge.deploy.system.files import write_text
    from detforge.export.catalog import PARAMETERS, count_parameters

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measure", nargs="+", default=[], metavar="NAME")
    for name in parser.parse_args().measure:
        figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
        figures["machine"] = f"{os.cpu_count()} processors"
        figures.setdefault("models", {})[name] = measure(name)
        write_text(FIGURES, json.dumps(figures, indent=1, sort_keys=True) + "\n")
        print(name, figures["models"][name])
    write_text(PARAMETERS, json.dumps(count_parameters(), indent=1) + "\n")
    write_text(PAGE, table())


def table() -> str:
    """The whole page."""
    from detforge.export.catalog import entries

    figures = json.loads(FIGURES.read_text())
    goldens = _goldens()
    models = [entry for entry in entries() if not entry.name.endswith("_test")]
    rows = [_row(entry, figures["models"].get(entry.name, {}), goldens) for entry in models]
    return HEAD.format(machine=figures["machine"]) + "\n".join(rows) + "\n"


def _goldens() -> set[str]:
    """The networks, by name or alias, that have goldens."""
    sys.path.append(str(TESTS))
    from golden.catalog import OPERATOR, TRUNK, kind, read_by_tests

    return {name for name in read_by_tests() if kind(name) not in (OPERATOR, TRUNK)}


def measure(name: str) -> dict[str, Any]:
    """The size, the time and the difference from PyTorch of a model's files, with random weights."""
    import numpy as np

    from detforge.deploy.backends.ort import OrtBackend
    from detforge.export.api import export
    from detforge.export.comparison import RejectedError

    figures: dict[str, Any] = {}
    cards = {}
    with tempfile.TemporaryDirectory() as folder:
        for precision in PRECISIONS:
            path = Path(folder) / f"{precision}.onnx"
            calib = _scenes(Path(folder) / "scenes") if precision == "int8" else None
            try:
                report = export(name, checkpoint="random", precision=precision, output=path, calib=calib)
            except RejectedError as error:
                report = error
                path.with_suffix(".rejected.onnx").rename(path)
                figures.setdefault("rejected", []).append(precision)
            cards[precision] = report.card
            outputs = report.comparison.outputs if report.comparison else {}
            figures[precision] = {output: difference.max_abs for output, difference in outputs.items()}
        figures["engine"] = _engine(Path(folder) / "fp16.onnx", cards["fp16"])
        path = Path(folder) / "fp32.onnx"
        figures["megabytes"] = round(path.stat().st_size / 1e6, 1)
        backend = OrtBackend(str(path), threads=THREADS)
        card = cards["fp32"]
        place = card.input.place
        canvas = place.canvas or tuple(next(n for n in itertools.count(side) if place.makes(n)) for side in CANVAS)
        random = np.random.default_rng(0)
        image = {each.name: random.standard_normal((1, *each.shape(canvas)), np.float32) for each in card.inputs}
        image |= {each.name: np.float32([canvas]) for each in card.inputs if each.kind == "size"}
        times = []
        for _ in range(RUNS + 2):
            start = time.perf_counter()
            backend.run(image)
            times.append(time.perf_counter() - start)
        figures["milliseconds"] = round(1000 * min(times[2:]))
    return figures


def _scenes(folder: Path) -> Path:
    """A folder of generated images, to calibrate with."""
    import cv2
    import numpy as np

    from detforge.train.markers.scene import compose

    folder.mkdir()
    for i in range(SCENES):
        cv2.imwrite(str(folder / f"{i}.png"), compose(np.random.default_rng(i), SIDE).image)
    return folder


def _engine(path: Path, card: Any) -> str:
    """Whether TensorRT-RTX builds the file, or the reason why not."""
    from detforge.deploy.system.errors import ExportError
    from detforge.export.engine import EngineOptions, build_engine

    try:
        build_engine(path, card, EngineOptions("tensorrt-rtx", ("89",)))
    except ExportError as error:
        return error.reason
    return "builds"


def _row(entry: Any, figures: dict[str, Any], goldens: set[str]) -> str:
    from detforge.models.zoo import find

    archive, number = entry.paper.split()
    cells = [
        f"`{entry.name}`",
        f"[{number}]({ARCHIVES[archive]}{number})",
        entry.summary,
        "" if entry.coco_ap is None else f"{entry.coco_ap:.1f}",
        f"[file]({entry.url})" if entry.url else "comes with it" if entry.checkpoint == "bundled" else "",
        f"{entry.parameters / 1e6:.1f} M",
        "yes" if goldens & {entry.name, *entry.aliases} else "",
        *(_parity(find(entry.name).form, figures, precision) for precision in PRECISIONS),
        f"{figures['milliseconds']} ms" if "milliseconds" in figures else "",
        f"{figures['megabytes']} MB" if figures else "",
        figures.get("engine", ""),
    ]
    return "| " + " | ".join(cells) + " |"


def _parity(form: Any, figures: dict[str, Any], precision: str) -> str:
    """The largest differences of the two outputs that the form declares first."""
    differences = figures.get(precision, {})
    shown = [output for output in form.outputs[:2] if output.name in differences]
    text = ", ".join(f"{differences[o.name]:.0e}{' px' if o.unit == 'px' else ''}" for o in shown)
    return f"{text}, rejected" if precision in figures.get("rejected", []) else text


if __name__ == "__main__":
    main()
