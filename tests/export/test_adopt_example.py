"""The example under examples/ runs, with a recorded file instead of the download."""

import runpy
from pathlib import Path
from typing import Any

import cv2
import pytest
from foreign_files import Recorded

EXAMPLE = Path(__file__).parents[2] / "examples" / "adopt_layout.py"


def test_the_parts_of_a_page_are_printed_and_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    recorded = Recorded("picodet")
    example: dict[str, Any] = runpy.run_path(str(EXAMPLE))
    main = example["main"]
    main.__globals__["fetch"] = lambda folder: recorded.write(folder / "layout.onnx")
    cv2.imwrite("page.png", recorded.image)
    main(["page.png"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("wrote exports/layout.onnx")
    assert len(lines) == len(recorded.boxes) + 2
    x1, y1, x2, y2 = (round(value) for value in recorded.boxes[0])
    assert f"page.png: class_0 0.99 at {x1} {y1} {x2} {y2}" in lines
    assert Path("runs/page-layout.jpg").is_file()
