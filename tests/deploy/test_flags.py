"""Flags of detinfer that ask for what cannot be, or can be meant in two ways."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import COLOR_CARD, write_color_model

from detforge.deploy.adjust import adjusted, class_indices
from detforge.deploy.detinfer.cli import main
from detforge.deploy.forms import Graph
from detforge.deploy.options import Options
from detforge.deploy.system import processors
from detforge.deploy.system.errors import UsageError
from detforge.deploy.system.flags import names, threads

QUARTERS = np.zeros((128, 128, 3), np.uint8)
QUARTERS[:64, :64, 2] = 255
QUARTERS[64:, 64:, 0] = 200
"""Red and a darker blue."""


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("a.png", QUARTERS)


@pytest.mark.parametrize(
    ("flags", "lines"),
    [
        ([], ["2 0.250000 0.250000 0.500000 0.500000", "0 0.750000 0.750000 0.500000 0.500000"]),
        (
            ["--save-conf"],
            ["2 0.250000 0.250000 0.500000 0.500000 1.00000", "0 0.750000 0.750000 0.500000 0.500000 0.78431"],
        ),
    ],
)
def test_label_files_have_the_columns_of_trainers(flags: list[str], lines: list[str], color_model: Path) -> None:
    assert main(["a.png", "--model", str(color_model), "--no-save", "--save-txt", *flags]) == 0
    assert Path("runs/infer/labels/a.txt").read_text().splitlines() == lines


def test_a_column_of_no_file_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["a.png", "--save-conf"]) == 2
    assert "--save-txt" in capfd.readouterr().err


LABELS = ("bow, knot", "cat", "bow", "salt,pepper,oil", "salt")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("cat", {1}),
        ("bow, knot", {0}),
        ("bow,knot", {0}),
        ("bow,cat", {1, 2}),
        ("cat,bow,knot,bow", {0, 1, 2}),
        ("salt,pepper,oil", {3}),
        ("salt, salt, pepper, oil", {3, 4}),
    ],
)
def test_names_of_classes_may_have_commas(text: str, kept: set[int]) -> None:
    card = replace(COLOR_CARD, labels=LABELS)
    assert class_indices(card, Options(classes=names(text))) == kept


@pytest.mark.parametrize(
    ("text", "unknown"), [("dog", "dog"), ("bow,dog", "dog"), ("knot", "knot"), ("salt,oil", "oil")]
)
def test_an_unknown_class_is_named(text: str, unknown: str) -> None:
    with pytest.raises(UsageError, match=f"unknown class '{unknown}'"):
        class_indices(replace(COLOR_CARD, labels=LABELS), Options(classes=names(text)))


def test_classes_with_commas_in_the_command(tmp_path: Path) -> None:
    card = replace(COLOR_CARD, labels=("sky, sea", "green", "red"))
    model = write_color_model(tmp_path / "m.onnx", card.to_json())
    flags = ["--no-save", "--save-txt", "--classes", "sky, sea"]
    assert main(["a.png", "--model", str(model), *flags]) == 0
    assert Path("runs/infer/labels/a.txt").read_text() == "0 0.750000 0.750000 0.500000 0.500000\n"


SUPPRESSED = replace(COLOR_CARD, form=Graph(), suppress=replace(COLOR_CARD.suppress, max_det=40))
OUTPUTS = {"boxes", "scores", "labels", "num"}


@pytest.mark.parametrize("options", [Options(conf=0.01), Options(conf=0.0), Options(max_det=41), Options(iou=0.5)])
def test_what_a_file_that_suppresses_has_dropped_cannot_be_asked_for(options: Options) -> None:
    with pytest.raises(UsageError, match="runs NMS in its graph"):
        adjusted(SUPPRESSED, options, OUTPUTS)


@pytest.mark.parametrize("options", [Options(conf=0.05), Options(conf=0.9), Options(max_det=40), Options(max_det=1)])
def test_what_it_has_kept_can(options: Options) -> None:
    card = adjusted(SUPPRESSED, options, OUTPUTS)
    for name, value in options.given().items():
        assert getattr(card.suppress, name) == value


def test_threads_beyond_the_processors_are_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors, "available_processors", lambda: 2)
    assert [threads("1"), threads("2")] == [1, 2]
    with pytest.warns(UserWarning, match="999 threads: this process may use 2 processors; it runs 2"):
        assert threads("999") == 2


def test_threads_beyond_the_processors_do_not_end_the_command(color_model: Path) -> None:
    command = [sys.executable, "-c", "from detforge.deploy.detinfer.cli import main; raise SystemExit(main())"]
    flags = ["a.png", "--model", str(color_model), "--no-save", "--threads", "999"]
    done = subprocess.run([*command, *flags], capture_output=True, text=True, check=True)
    assert re.search(
        "^warning: 999 threads: this process may use [0-9]+ processors; it runs [0-9]+$", done.stderr, re.M
    )
