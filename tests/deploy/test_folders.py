"""Folders as people have them: equal names, files that are none, pictures that cannot be used. The others go on."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import COLOR_CARD, write_color_model
from picture_server import serving

from detforge.deploy import load
from detforge.deploy.detinfer.cli import main
from detforge.deploy.detinfer.given_boxes import read_boxes
from detforge.deploy.inputs.listing import Item, find_items, told_apart
from detforge.deploy.inputs.sources import Picture
from detforge.deploy.system.errors import InputError

RED = np.full((64, 64, 3), (0, 0, 255), np.uint8)


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(*names: str, image: np.ndarray = RED) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(name, image)


def names(source: str, recursive: bool = False) -> list[str]:
    return [item.name for item in find_items(source, recursive).items]


def images_in(file: str) -> set[str]:
    return {record["image"] for record in json.loads(Path(file).read_text())}


def test_files_are_called_by_their_paths_in_the_source() -> None:
    write("p/1.png", "p/2.jfif.png", "p/deep/1.png", "p/.hidden/1.png", "p/10.png")
    Path("p/2.jfif.png").rename("p/2.jfif")
    assert names("p") == ["1.png", "2.jfif", "10.png"]
    assert names("p", recursive=True) == ["1.png", "2.jfif", "10.png", "deep/1.png"]
    assert names("p/*/*.png") == ["deep/1.png"]
    assert names("**/1.png") == ["p/1.png", "p/deep/1.png"]
    assert names("p/deep/1.png") == ["1.png"]


@pytest.mark.parametrize("count", [20, 22])
def test_what_is_no_picture_is_skipped_and_counted(
    count: int, color_model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write("p/1.png")
    others = ["a.nfo", "b.ffconcat", "c.txt", *(f"d{i}.json" for i in range(count - 3))]
    for i, name in enumerate(others):
        Path(f"p/{name}").write_text(f"ffconcat version 1.0 {i}")
    assert main(["p", "--model", str(color_model), "--no-save"]) == 0
    last = capfd.readouterr().out.splitlines()[-1]
    named = ", ".join([*others[:20], *["…"] * (count > 20)])
    assert last.endswith(f"; skipped {count} that are no picture or video: {named}")


def test_a_broken_picture_in_a_folder_is_no_skipped_one() -> None:
    write("p/1.png")
    Path("p/2.heic").write_bytes(b"no picture")
    assert names("p") == ["1.png", "2.heic"]


@pytest.mark.parametrize("sources", [["a/1.png", "b/1.png"], ["a", "b"], [".", "--recursive"]])
def test_equal_names_are_told_apart(sources: list[str], color_model: Path) -> None:
    write("a/1.png", "b/1.png")
    flags = ["--model", str(color_model), "--json", "../found.json", "--out", "../out", "--save-txt"]
    assert main([*sources, *flags]) == 0
    assert images_in("../found.json") == {"a/1.png", "b/1.png"}
    saved = {path.relative_to("../out").as_posix() for path in Path("../out").rglob("*.*")}
    assert saved == {"a/1.png", "b/1.png", "labels/a/1.txt", "labels/b/1.txt"}


def test_names_of_one_file_given_twice_and_of_different_ones_stay() -> None:
    items = [Item("a/1.png", "1.png"), Item("a/1.png", "1.png"), Item("b/2.png", "2.png")]
    assert told_apart(items) == items


def test_boxes_are_matched_by_the_path_that_they_state() -> None:
    entries = [
        {"image": "a/1.png", "bbox": [1, 0, 1, 1]},
        {"image": "b/1.png", "bbox": [2, 0, 1, 1]},
        {"image": "1.png", "bbox": [3, 0, 1, 1]},
    ]
    Path("boxes.json").write_text(json.dumps(entries))
    given = read_boxes(Path("boxes.json"), ("x",))
    for path, lefts in (("photos/a/1.png", [1, 3]), ("b/1.png", [2, 3]), ("1.png", [1, 2, 3]), ("c/1.png", [3])):
        assert given.of(Picture(Path(path).name, RED, path=path)).boxes[:, 0].tolist() == lefts


def test_a_box_that_is_none_names_its_picture() -> None:
    Path("boxes.json").write_text(json.dumps([{"image": "1.png", "bbox": [1, 2, -3, 4]}]))
    with pytest.raises(InputError, match=r"boxes\.json: bbox \[1, 2, -3, 4\] has a side below 0"):
        read_boxes(Path("boxes.json"), ("x",)).of(Picture("1.png", RED))


@pytest.fixture
def picky_model(tmp_path: Path) -> str:
    """Takes square pictures alone: its canvas has no room for others."""
    place = COLOR_CARD.input.place
    card = replace(COLOR_CARD, inputs=(replace(COLOR_CARD.input, place=replace(place, size=(64, 9999), by="edges")),))
    return str(write_color_model(tmp_path / "picky.onnx", card.to_json()))


@pytest.mark.parametrize("batch", ["1", "3"])
def test_a_picture_that_the_network_cannot_take(
    batch: str, picky_model: str, capfd: pytest.CaptureFixture[str]
) -> None:
    write("p/1.png", "p/3.png")
    write("p/2.png", image=RED[:1])
    flags = ["--model", picky_model, "--json", "a.json", "--batch", batch, "--no-save"]
    assert main(["p", *flags]) == 3
    errors = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and errors[0].startswith("error: 2.png: image of 64x1 px: ")
    assert images_in("a.json") == {"1.png", "3.png"}


def test_a_streams_results_know_their_file(picky_model: str) -> None:
    write("p/1.png", "p/3.png")
    write("p/2.png", image=RED[:1])
    Path("p/4.jpg").write_bytes(b"broken")
    with pytest.warns(UserWarning) as said:
        found = list(load(picky_model).stream("p", batch=2))
    assert sorted(str(each.message).split(": ")[0] for each in said) == ["2.png", "p/4.jpg"]
    assert [(each.source, each.frame, len(each)) for each in found] == [("1.png", None, 4), ("3.png", None, 4)]
    assert [each.source for each in found[0]] == ["1.png"] * 4
    with pytest.raises(InputError, match=r"^2\.png: "):
        list(load(picky_model).stream("p/2.png"))


def test_frames_of_a_stream_are_numbered(color_model: Path) -> None:
    assert cv2.imwritemulti("a.tiff", [RED, RED])
    assert [(each.source, each.frame) for each in load(str(color_model)).stream("a.tiff")] == [
        ("a.tiff", i) for i in (0, 1)
    ]


@pytest.mark.parametrize("length", [82, 83])
def test_names_as_long_as_the_file_system_takes(length: int, color_model: Path) -> None:
    name = "長" * length + ".png"
    write("p/short.png")
    Path("p/short.png").rename(Path("p") / name)
    assert main(["p", "--model", str(color_model)]) == 0
    assert [path.name for path in Path("runs/infer").iterdir()] == [name]


def test_a_name_too_long_for_its_results_does_not_end_the_run(
    color_model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    name = "長" * 83 + "xx.png"  # 255 bytes, and each crop's name has two more
    write("p/a.png", "p/z.png")
    Path("p/a.png").rename(Path("p") / name)
    flags = ["--model", str(color_model), "--json", "a.json", "--no-save", "--save-crops"]
    assert main(["p", *flags]) == 3
    errors = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
    assert errors == [f"error: {name}: results cannot be saved; its name is too long; rename it"]
    assert images_in("a.json") == {name, "z.png"}
    assert Path("runs/infer/crops/red/z_0.jpg").exists()


def test_secrets_of_an_address_enter_nothing(
    color_model: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(cv2.imencode(".png", RED)[1].tobytes()) as host:
        flags = ["--model", str(color_model), "--json", "a.json", "--save-txt"]
        assert main([f"http://{host}/../shot?key=secret", *flags]) == 0
    out, err = capfd.readouterr()
    files = [path.as_posix() for path in Path().rglob("*") if path.is_file()]
    assert images_in("a.json") == {f"{host}/../shot"}
    assert f"runs/infer/{host}/shot.png" in files
    assert "secret" not in out + err + Path("a.json").read_text() + " ".join(files)


def test_nothing_is_written_where_nothing_is_asked_for(color_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_place(*_: object, **__: object) -> None:
        raise FileNotFoundError(2, "No usable temporary directory found")

    write("a.png")
    with monkeypatch.context() as patch:
        for name in ("TemporaryFile", "gettempdir", "mkstemp", "mkdtemp"):
            patch.setattr(f"tempfile.{name}", no_place)
        for flags in ([], ["--json", "-"], ["--json", "-", "--stream"]):
            assert main(["a.png", "--model", str(color_model), "--no-save", *flags]) == 0
    assert [path.name for path in Path().iterdir()] == ["a.png"]


def test_a_link_to_nothing_is_named(color_model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Path("photos").mkdir()
    cv2.imwrite("photos/a.png", np.zeros((64, 64, 3), np.uint8))
    Path("photos/b.png").symlink_to("gone.png")
    assert main(["photos", "--model", str(color_model), "--no-save"]) == 3
    out, err = capfd.readouterr()
    assert "error: photos/b.png: no such file; check the path" in err and "pictures: 1" in out


def test_a_folder_that_contains_itself_is_searched_once() -> None:
    write("p/a/1.png", "p/2.png")
    Path("p/a/loop").symlink_to(Path("p").resolve())
    assert names("p/**/*.png") == names("p", recursive=True) == ["2.png", "a/1.png"]
