"""detbench with annotations, on a network that finds cells of a colour (see conftest)."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from bench.test_html import Page
from conftest import COLOR_CARD, write_color_model

from detforge.deploy.bench import cli
from detforge.deploy.bench.report import read_report
from detforge.deploy.coco.accuracy import Accuracy, Precision

CELLS = [[0, 0, 32, 32], [32, 0, 32, 32], [0, 32, 32, 32], [32, 32, 32, 32]]


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pictures with a blue and a red cell each; all are annotated. The second model takes red for green."""
    monkeypatch.chdir(tmp_path)
    Path("photos/deep").mkdir(parents=True)
    images, objects = [], []
    for i, name in enumerate(("a.png", "deep/b.png")):
        picture = np.zeros((64, 64, 3), np.uint8)
        picture[:32, :32, 0] = 255
        picture[32:, 32:, 2] = 255
        cv2.imwrite(f"photos/{name}", picture)
        images.append({"id": 40 + i, "file_name": name})
        objects += [{"image_id": 40 + i, "category_id": c, "bbox": CELLS[cell]} for c, cell in ((9, 0), (2, 3))]
    categories = [{"id": 9, "name": "blue"}, {"id": 2, "name": "red"}, {"id": 5, "name": "unused"}]
    write("truth.json", {"images": images, "annotations": objects, "categories": categories})
    write_color_model(Path("good.onnx"), COLOR_CARD.to_json())
    swapped = json.loads(COLOR_CARD.to_json()) | {"labels": ["blue", "red", "green"]}
    write_color_model(Path("bad.onnx"), json.dumps(swapped))


def write(name: str, content: Any) -> None:
    Path(name).write_text(json.dumps(content))


def bench(*argv: str) -> int:
    flags = ("--duration", "0.05", "--warmup", "0", "--backend", "ort", "--images", "photos")
    return cli.main([*flags, "--annotations", "truth.json", *argv])


def test_every_model_is_evaluated(capfd: pytest.CaptureFixture[str]) -> None:
    files = ("--json", "r.json", "--html", "r.html", "--csv", "r.csv")
    assert bench("--model", "good.onnx", "--model", "bad.onnx", "--batch", "1,2", "--per-class", *files) == 0
    out = capfd.readouterr().out
    report = read_report(Path("r.json"))
    whole, none = Precision(100.0, 100.0, 100.0), Precision(0.0, 0.0, 0.0)
    good = Accuracy(100.0, 100.0, 100.0, "boxes", {"blue": whole, "red": whole})
    bad = Accuracy(50.0, 50.0, 50.0, "boxes", {"blue": whole, "red": none})
    assert [result.accuracy for result in report.results] == [good, good, bad, bad]
    assert report.settings["annotations"] == {"file": "truth.json", "objects": 4}
    assert report.settings["images"] == {"folder": "photos", "count": 2}
    rows = [line.split() for line in out.splitlines()]
    assert [row[-2:] for row in rows if "decode" in row] == [["AP", "100.00"]] * 2 + [["AP", "50.00"]] * 2
    assert [row[-2:] for row in rows if "post" in row][2:] == [["change", "-50.00"]] * 2
    assert ["red", "good.onnx,", "ort,", "cpu", "100.00", "100.00", "100.00"] in rows
    assert ["bad.onnx,", "ort,", "cpu", "0.00", "0.00", "0.00"] in rows
    texts = Page(Path("r.html").read_text()).texts
    assert "-50.00" in texts and "-100.00" in texts and "50.00 %" in texts
    head, first, *_, last = Path("r.csv").read_text().splitlines()
    assert head.endswith(",ap,ap50,ap75") and first.endswith(",100.0,100.0,100.0") and last.endswith(",50.0,50.0,50.0")


def test_gates(capfd: pytest.CaptureFixture[str]) -> None:
    models = ("--model", "good.onnx", "--model", "bad.onnx")
    assert bench(*models, "--fail-if", "ap<-50", "--fail-if", "ap50<50") == 0
    assert bench(*models, "--fail-if", "ap<-49.9") == 6
    assert "error: bad.onnx on ort cpu, batch 1: ap is 50.00 %; ap<-49.9 allows 50.10 %" in capfd.readouterr().err


def test_the_change_since_a_report(capfd: pytest.CaptureFixture[str]) -> None:
    assert bench("--model", "good.onnx", "--json", "base.json") == 0
    Path("bad.onnx").replace("good.onnx")
    capfd.readouterr()
    assert bench("--model", "good.onnx", "--compare", "base.json") == 0
    _, change = capfd.readouterr().out.split("change since base.json")
    lines = [line.split()[-2:] for line in change.splitlines()]
    assert [line for line in lines if line[:1] and line[0].startswith("AP")] == [
        ["AP", "-50.00"],
        ["AP50", "-50.00"],
        ["AP75", "-50.00"],
    ]


def test_results_as_coco_takes_them(capfd: pytest.CaptureFixture[str]) -> None:
    assert bench("--model", "bad.onnx", "--coco-results", "found.json", "--json", "-") == 0
    assert json.loads(capfd.readouterr().out)["results"][0]["accuracy"]["ap"] == 50.0
    rows = json.loads(Path("found.json").read_text())
    blue = [(row["image_id"], row["category_id"], row["bbox"]) for row in rows if row["score"] > 0.5]
    assert blue == [(40, 9, CELLS[0]), (41, 9, CELLS[0])]  # what it calls green is no category
    assert all(set(row) == {"image_id", "category_id", "bbox", "score"} for row in rows)


@pytest.mark.parametrize(
    ("change", "argv", "code", "words"),
    [
        ("", ("--images", str(cli.IMAGES)), 2, "give --images DIR"),
        ("", ("--annotations", "nope.json"), 3, "nope.json: cannot be read"),
        ("", ("--images", "photos/deep"), 3, "2 of its 2 images are missing, the first is photos/deep/a.png"),
        ('"red"->"rot"', (), 3, "no label 'rot'; it has blue, green, red; rename"),
        ("", ("--fail-if", "ap<-1"), 2, "'ap<-1' is relative to the first model; give a second --model"),
        ("", ("--coco-results", "c.json", "--model", "bad.onnx"), 2, "one at a time"),
        ("", ("--ops",), 2, "--annotations has no effect with --ops"),
    ],
)
def test_errors(change: str, argv: tuple[str, ...], code: int, words: str, capfd: pytest.CaptureFixture[str]) -> None:
    if change:
        Path("truth.json").write_text(Path("truth.json").read_text().replace(*change.split("->")))
    flags = ("--model", "good.onnx", *argv) if argv != ("--ops",) else ("--ops", "--annotations", "t.json")
    assert (cli.main([*flags]) if argv == ("--ops",) else bench(*flags)) == code
    error = capfd.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ") and words in error


@pytest.mark.parametrize("flags", [("--per-class",), ("--coco-results", "c.json"), ("--fail-if", "ap50<60")])
def test_what_needs_annotations(flags: tuple[str, ...], capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--model", "good.onnx", "--images", "photos", *flags]) == 2
    assert f"error: {flags[0]}" in (error := capfd.readouterr().err) and "give --annotations FILE" in error


def test_a_broken_image_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    Path("photos/deep/b.png").write_bytes(b"no picture")
    assert bench("--model", "good.onnx") == 3
    assert "error: photos/deep/b.png: " in capfd.readouterr().err
