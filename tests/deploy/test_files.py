"""Files are written whole or not at all, and what is no file is not replaced by one."""

import os
import threading
from pathlib import Path

import pytest

from detforge.deploy.system.errors import DetforgeError, UsageError
from detforge.deploy.system.files import check_place, replacing, write_text


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_folders_are_made_and_rights_are_those_of_other_files() -> None:
    write_text(Path("a/b/new.txt"), "é")
    assert Path("a/b/new.txt").read_text(encoding="utf-8") == "é"
    Path("usual").touch()
    assert Path("a/b/new.txt").stat().st_mode == Path("usual").stat().st_mode


def test_a_failure_leaves_the_old_file_alone() -> None:
    Path("old.txt").write_text("old")
    with pytest.raises(RuntimeError), replacing(Path("old.txt")) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert [path.name for path in Path().iterdir()] == ["old.txt"] and Path("old.txt").read_text() == "old"


def test_a_signal_while_the_file_is_made_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    touch = Path.touch

    def interrupted(path: Path, **how: bool) -> None:
        touch(path, **how)
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "touch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_text(Path("new.txt"), "text")
    assert list(Path().iterdir()) == []


def test_links_are_followed() -> None:
    Path("link").symlink_to("real")
    write_text(Path("link"), "text")
    assert Path("link").is_symlink() and Path("real").read_text() == "text"
    Path("loop").symlink_to("loop")
    write_text(Path("loop"), "text")
    assert not Path("loop").is_symlink()


def test_a_pipe_is_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo("pipe")
    heard: list[str] = []
    reader = threading.Thread(target=lambda: heard.append(Path("pipe").read_text()))
    reader.start()
    write_text(Path("pipe"), "text")
    reader.join(10)
    assert heard == ["text"] and Path("pipe").is_fifo()


@pytest.mark.parametrize("name", ["folder", "file/x.json"])
def test_what_cannot_be_a_file_is_told_before_the_work_and_after_it(name: str) -> None:
    Path("folder").mkdir()
    Path("file").touch()
    with pytest.raises(UsageError, match=f"{name}: cannot be written"):
        check_place(Path(name))
    with pytest.raises(DetforgeError, match=f"{name}: cannot be written"):
        write_text(Path(name), "text")
    assert sorted(path.name for path in Path().iterdir()) == ["file", "folder"]


@pytest.mark.parametrize("name", ["new.json", "new/folder/x.json", "file", "/dev/null"])
def test_what_can_be_a_file_passes(name: str) -> None:
    Path("file").touch()
    check_place(Path(name))
