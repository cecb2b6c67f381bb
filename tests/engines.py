"""Engines that tests run in the stand-in, by hand and through detinfer."""

from pathlib import Path
from typing import Any

from detforge.deploy.card import METADATA_KEY, parse_card
from detforge.deploy.detinfer import cli
from detforge.deploy.engine.build import BuildOptions, build
from detforge.deploy.engine.description import describe, write_engine
from detforge.deploy.engine.onnx_file import read_onnx
from detforge.deploy.engine.profile import profile


def engine(path: Path, runtime: Any = "tensorrt", batch: tuple[int, int, int] = (1, 1, 8), **flags: bool) -> str:
    """The path of an engine of an ONNX file, built beside it."""
    file = read_onnx(path)
    card, options = parse_card(file.metadata.get(METADATA_KEY), path), BuildOptions(runtime, **flags)
    shapes = profile(file.inputs, card, batch)

    def make(plan: Path) -> Any:
        return describe(
            build(path, file, "fp32", shapes, options, plan), plan, card, file.sha256, options, shapes, ("86",)
        )

    write_engine(path.with_suffix(".engine"), make)
    return str(path.with_suffix(".engine"))


def detinfer(capfd: Any, *argv: str, code: int = 0) -> str:
    """What it says on stderr, of a.png."""
    assert cli.main(["a.png", "--no-save", *argv]) == code
    out, err = capfd.readouterr()
    if code == 0:
        assert "red" in out
        return err
    lines = [line for line in err.splitlines() if not line.startswith(("model: ", "building ", "warning: "))]
    assert len(lines) == 1 and lines[0].startswith("error: "), err
    return lines[0]
