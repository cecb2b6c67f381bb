"""Broken and hostile checkpoints are refused in one line, and nothing in a file ever runs."""

import copyreg
import os
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import FORMATS, call, number, refusal, same, save, storage, tensor, text, weights, write
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from detforge.deploy.system.errors import InputError
from detforge.models.checkpoint import read_checkpoint

STATE = {"bbox_head.gfl_cls.weight": torch.arange(6.0).view(2, 3), "bbox_head.gfl_cls.bias": torch.ones(2)}


@pytest.fixture(autouse=True)
def _silent(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    assert capfd.readouterr() == ("", "")


def shell(marker: Path) -> bytes:
    return text(f"touch {marker}")


def code(marker: Path) -> bytes:
    return text(f"open({str(marker)!r}, 'w')")


def dotted(marker: Path) -> bytes:
    return text("shutil") + text("os.system") + b"\x93(" + shell(marker) + b"tR"


HOSTILE = {
    "system": lambda m: call("os", "system", shell(m)),
    "posix": lambda m: call("posix", "system", shell(m)),
    "eval": lambda m: call("builtins", "eval", code(m)),
    "exec": lambda m: call("builtins", "exec", code(m)),
    "py2 builtins": lambda m: call("__builtin__", "eval", code(m)),
    "getattr": lambda m: call("builtins", "getattr", call("builtins", "__import__", text("os")), text("system")),
    "popen": lambda m: call("subprocess", "Popen", b"(" + text("touch") + text(str(m)) + b"t"),
    "dotted global": dotted,
    "torch function": lambda m: call("torch", "load", text(str(m))),
    "torch hub": lambda m: call("torch", "hub.load", text("a/b"), text("c")),
    "storage in the name": lambda m: call("os", "Storage.system", shell(m)),
    "numpy": lambda m: call("numpy", "save", text(str(m)), number(1)),
    "instance": lambda m: b"(" + shell(m) + b"ios\nsystem\n",
    "object": lambda m: b"(cos\nsystem\n" + shell(m) + b"o",
    "newobj": lambda m: b"cbuiltins\nopen\n(" + text(str(m)) + text("w") + b"t\x81",
    "newobj_ex": lambda m: b"cbuiltins\nopen\n(" + text(str(m)) + text("w") + b"t}\x92",
    "setstate": lambda m: b"cfunctools\npartial\n)R(cos\nsystem\n(" + shell(m) + b"t}Ntb",
    "chained": lambda m: b"cos\nsystem\n(" + shell(m) + b"tR(" + shell(m) + b"tR",
    "class with its source": lambda m: (
        b"(" + text("module") + b"cos\nsystem\n" + shell(m) * 2 + b"tQ(" + shell(m) + b"tR"
    ),
    "appends": lambda m: call("collections", "deque") + b"(" + call("os", "system", shell(m)) + b"e",
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_in_a_file_runs(tmp_path: Path, name: str, form: str) -> None:
    marker = tmp_path / "marker"
    path = write(tmp_path / "a.pth", weights(text("extra"), HOSTILE[name](marker)), form)
    found = read_checkpoint(path)
    assert same(found.state, {"w": torch.ones(2, 2)})
    assert not marker.exists()


@pytest.mark.parametrize("form", FORMATS)
def test_reduce_methods_do_not_run(tmp_path: Path, form: str) -> None:
    marker = tmp_path / "marker"

    class Evil:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {marker}",)

    path = save(tmp_path / "a.pth", {"state_dict": STATE | {"evil": Evil()}, "meta": Evil()}, form)
    assert same(read_checkpoint(path).state, STATE)
    assert not marker.exists()


@pytest.mark.parametrize("form", FORMATS)
def test_an_attribute_cannot_be_set(tmp_path: Path, form: str) -> None:
    change = b"}(" + text("__kwdefaults__") + b"}u"
    targets = (b"ctorch._utils\n_rebuild_tensor_v2\n", b"ccollections\nOrderedDict\n", b"cos\nsystem\n")
    for target in targets:
        program = weights(text("extra"), target + b"(N" + change + b"tb")
        assert same(read_checkpoint(write(tmp_path / "a.pth", program, form)).state, {"w": torch.ones(2, 2)})


@pytest.mark.parametrize("form", FORMATS)
def test_a_registered_extension_does_not_run(tmp_path: Path, form: str) -> None:
    marker = tmp_path / "marker"
    path = write(tmp_path / "a.pth", weights(text("extra"), b"\x82\xf0(" + shell(marker) + b"tR"), form)
    copyreg.add_extension("posix", "system", 0xF0)
    try:
        pickle.loads(b"\x80\x02\x82\xf0.")  # leaves the function in the cache of extensions
        refusal(path)
    finally:
        copyreg.remove_extension("posix", "system", 0xF0)
    assert not marker.exists()


MALFORMED = {
    "beyond the data": weights(text("x"), tensor(1, (4,), (1,))),
    "stride beyond the data": weights(text("x"), tensor(0, (2, 2), (3, 1))),
    "huge stride": weights(text("x"), tensor(0, (2,), (2**62,))),
    "terabytes of one value": weights(text("x"), tensor(0, (2**40,), (0,))),
    "overflowing size": weights(text("x"), tensor(0, (2**62, 2**62, 0), (1, 1, 1))),
    "negative offset": weights(text("x"), tensor(-1, (1,), (1,))),
    "negative size": weights(text("x"), tensor(0, (-1, -4), (1, 1))),
    "strides missing": weights(text("x"), tensor(0, (2, 2), (1,))),
    "no storage": weights(text("x"), tensor(0, (1,), (1,), b"N")),
    "storage of an unknown type": weights(text("x"), tensor(0, (1,), (1,), storage("UntypedStorage"))),
    "storage that is a function": weights(text("x"), tensor(0, (1,), (1,), storage("load"))),
    "negative storage": weights(text("x"), tensor(0, (0,), (1,), storage(values=-1))),
    "huge storage": weights(text("x"), tensor(0, (1,), (1,), storage(values=2**60))),
    "huge buffer": weights(text("x"), b"\x96" + struct.pack("<Q", 2**45)),
    "huge bytes": weights(text("x"), b"\x8e" + struct.pack("<Q", 2**60)),
    "huge frame": b"\x80\x04\x95" + struct.pack("<Q", 2**62),
    "unknown opcode": weights(text("x"), b"\xff"),
    "empty stack": b"\x80\x02...",
    "memo miss": weights(text("x"), b"h\x09"),
    "a list": b"\x80\x02].",
    "a number": b"\x80\x02K\x01.",
    "an unknown object": b"\x80\x02" + call("__main__", "Net") + b".",
    "no weights": b"\x80\x02}.",
    "weights unknown": b"\x80\x02}(" + text("state_dict") + call("a", "b") + b"u.",
    "deep key": b"\x80\x02})" + b"\x85" * 300_000 + b"Ns.",
    "deep set": b"\x80\x02\x8f()" + b"\x85" * 300_000 + b"\x90.",
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_pickles_are_refused(tmp_path: Path, name: str, form: str) -> None:
    refusal(write(tmp_path / "a.pth", MALFORMED[name], form))


@pytest.mark.parametrize("form", FORMATS)
def test_odd_but_harmless_pickles_are_read(tmp_path: Path, form: str) -> None:
    far = b"Nr\xff\xff\xff\xff"  # stores in the memo's slot 2**32 - 1, which must not be a list
    deep = b"]" * 200_000 + b"a" * 199_999
    bomb = b"]" + b"".join(b"q%c]h%ch%c\x86a" % (i, i, i) for i in range(1, 9))
    program = weights(text("far"), far, text("deep"), deep, text("bomb"), b"(" + bomb + b"1N")
    assert same(read_checkpoint(write(tmp_path / "a.pth", program, form)).state, {"w": torch.ones(2, 2)})


@pytest.mark.parametrize("form", FORMATS)
def test_truncated_files_are_refused(tmp_path: Path, form: str) -> None:
    whole = write(tmp_path / "whole.pth", weights(), form).read_bytes()
    for length in range(len(whole)):
        (tmp_path / "a.pth").write_bytes(whole[:length])
        refusal(tmp_path / "a.pth")


@pytest.mark.parametrize("form", FORMATS)
@settings(max_examples=150, deadline=None)
@given(edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=4)), max_size=4))
def test_damaged_files_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, form: str, edits: list[tuple[float, bytes]]
) -> None:
    path = write(tmp_path_factory.getbasetemp() / f"{form}.pth", weights(text("meta"), b"}"), form)
    data = bytearray(path.read_bytes())
    for place, replacement in edits:
        start = int(place * len(data))
        data[start : start + len(replacement)] = replacement
    path.write_bytes(data)
    try:
        read_checkpoint(path)
    except InputError as error:
        assert "\n" not in str(error)


def archive_of(path: Path, entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize(
    ("reason", "entries"),
    [
        ("TorchScript", {"net/data.pkl": weights(), "net/constants.pkl": b"", "net/code/a.py": b"1"}),
        ("not from PyTorch", {"word/document.xml": b"<a/>"}),
        ("big-endian", {"a/data.pkl": weights(), "a/byteorder": b"big"}),
        ("damaged", {"a/data.pkl": weights(), "a/data/0": b"\0" * 15}),
        ("damaged", {"a/data.pkl": weights()}),
    ],
)
def test_other_archives_are_refused(tmp_path: Path, reason: str, entries: dict[str, bytes]) -> None:
    assert reason in refusal(archive_of(tmp_path / "a.pth", entries))


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    entries = {"a/data.pkl": weights(), "a/data/0": b"\0" * 20_000_000}
    path = archive_of(tmp_path / "a.pth", entries, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 50_000
    assert "more than the file holds" in refusal(path)


def test_overlapping_entries_are_refused(tmp_path: Path) -> None:
    path = archive_of(tmp_path / "a.pth", {"a/data.pkl": weights(), "a/data/0": b"\0" * 5000})
    data = path.read_bytes()
    size = struct.pack("<I", 5000)
    path.write_bytes(data.replace(size, struct.pack("<I", 2**31)))
    refusal(path)


FILES = {
    "empty.pth": b"",
    "login.pth": b"<!DOCTYPE html>\n<html><body>please log in</body></html>",
    "notes.pth": b"to do",
    "image.pth": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "plain.pth": pickle.dumps({"state_dict": {}}),
    "empty.safetensors": b"",
    "login.safetensors": b"<!DOCTYPE html>\n<html><body>please log in</body></html>",
    "huge.safetensors": struct.pack("<Q", 2**62) + b"{}",
    "json.safetensors": struct.pack("<Q", 4) + b"{{{{",
    "bytes.safetensors": struct.pack("<Q", 4) + b"\xff\xfe\xff\xfe",
    "nothing.safetensors": struct.pack("<Q", 2) + b"{}",
    "beyond.safetensors": struct.pack("<Q", 60) + b'{"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}'.ljust(60),
    "type.safetensors": struct.pack("<Q", 60)
    + b'{"w":{"dtype":"Q99","shape":[4],"data_offsets":[0,16]}}'.ljust(60)
    + bytes(16),
}


@pytest.mark.parametrize("name", FILES)
def test_files_of_another_kind_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(FILES[name])
    refusal(tmp_path / name)


def test_a_tar_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pickle").write_bytes(weights())
    with tarfile.open(tmp_path / "a.pth", "w") as archive:
        archive.add(tmp_path / "pickle")
    refusal(tmp_path / "a.pth")


@pytest.mark.parametrize("form", FORMATS)
def test_a_whole_model_is_refused(tmp_path: Path, form: str) -> None:
    assert "whole model" in refusal(save(tmp_path / "a.pth", nn.Linear(2, 2), form))


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.pth", tmp_path / ("x" * 300), tmp_path / "nul\0"):
        assert "cannot be read" in refusal(path)
