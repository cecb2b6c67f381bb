"""Every public name has a docstring with an example, and the examples run."""

import doctest
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from foreign_files import write_foreign

import detforge.deploy
import detforge.export
from detforge.deploy import Instances, load
from detforge.deploy.pipelines.pipeline import Pipeline


def qr_code() -> np.ndarray:
    """A QR code of about 240 px in a grey image of 320 px."""
    code = cv2.QRCodeEncoder_create().encode("detforge")
    code = np.kron(code, np.full((240 // len(code),) * 2, 1, np.uint8))
    image = np.full((320, 320, 3), 200, np.uint8)
    image[40 : 40 + len(code), 40 : 40 + len(code)] = code[..., None]
    return image


def public() -> Iterator[tuple[str, Any]]:
    """The public names and what they are."""
    for module in (detforge.deploy, detforge.export):
        yield from ((name, getattr(module, name)) for name in module.__all__)
    for name, member in inspect.getmembers(Instances, callable):
        if not name.startswith("_") or name == "__getitem__":
            yield f"Instances.{name}", member
    yield "Pipeline", Pipeline
    yield from ((f"Pipeline.{name}", getattr(Pipeline, name)) for name in ("__call__", "stream"))


PUBLIC = dict(public())


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLIC)
def test_the_example_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    image, detector = qr_code(), load("gfl_markers")
    (tmp_path / "photos").mkdir()
    for file in ("a.png", "b.png"):
        cv2.imwrite(f"photos/{file}", image)
    names = {"image": image, "detector": detector, "found": detector(image), "np": np}
    names |= {"load": load, "Instances": Instances}
    names |= {each: getattr(detforge.export, each) for each in detforge.export.__all__}
    write_foreign(Path("yolox_s.onnx"), {"output": np.full((1, 189, 85), 0.5, np.float32)}, shape=(1, 3, 96, 96))
    text = inspect.getdoc(PUBLIC[name])
    example = doctest.DocTestParser().get_doctest(text, names, name, None, 0)
    assert example.examples
    told: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=told.append)
    assert not told, "".join(told)
