"""What workers read: disks, object stores, Parquet and WebDataset, against the files that were put there."""

import importlib.util
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from object_store import object_store

from detforge.deploy.batch.sources import find_sources, open_source
from detforge.deploy.inputs.listing import Item, told_apart
from detforge.deploy.inputs.sources import Picture
from detforge.deploy.system.errors import InputError, UsageError

pytestmark = pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="pyarrow is not installed")

NAMES = ["a 1#.png", "a 2%.png", "a 10.png"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures with names that addresses write otherwise, one that is none, a text, and one in a folder."""
    folder = tmp_path / "bucket" / "photos"
    (folder / "more").mkdir(parents=True)
    for i, name in enumerate([*NAMES, "more/b.png"]):
        cv2.imwrite(str(folder / name), np.full((4, 6 + i, 3), 50 * i, np.uint8))
    (folder / "broken.jpg").write_text("no image")
    (folder / "read me.txt").write_text("no image")
    (folder / ".hidden.png").write_bytes(b"")
    return folder


def seen(source: str, recursive: bool = False) -> dict[str, np.ndarray | str]:
    """Pixels or the error by name, of every picture of a source."""
    items = told_apart(find_sources(source, recursive).items)
    found = [(name, each) for item in items for name, each in open_source(item)]
    return {name: each.image if isinstance(each, Picture) else str(each) for name, each in found}


def are_of(found: dict[str, np.ndarray | str], files: dict[str, Path]) -> None:
    assert list(found) == list(files)
    for name, file in files.items():
        np.testing.assert_array_equal(np.asarray(found[name]), cv2.imread(str(file)))


def test_addresses_give_what_folders_give(folder: Path) -> None:
    place = str(folder.parent)
    with object_store("bucket", folder.parent) as settings:
        for address in (f"file://{place}/photos", f"file://{place}/photos/", f"s3://id:word@bucket/photos?{settings}"):
            listed = find_sources(address, recursive=False)
            assert listed.skipped == ["read me.txt"]
            found = seen(address)
            broken = str(found.pop("broken.jpg"))
            assert broken.endswith("photos/broken.jpg: not an image; check that it opens in a viewer")
            assert "word" not in broken
            are_of(found, {name: folder / name for name in NAMES})
            more = seen(address, recursive=True)
            np.testing.assert_array_equal(np.asarray(more["more/b.png"]), cv2.imread(str(folder / "more/b.png")))
        one = f"s3://id:word@bucket/photos/a%201%23.png?{settings}"
        are_of(seen(one), {NAMES[0]: folder / NAMES[0]})
        [gone] = open_source(Item(f"s3://id:word@bucket/photos/gone.png?{settings}", "gone.png"))
        assert "bucket/photos/gone.png: cannot be read; " in str(gone[1]) and "word" not in str(gone[1])
        with pytest.raises(InputError, match="bucket/nowhere: no image, video"):
            find_sources(f"s3://id:word@bucket/nowhere?{settings}", recursive=False)


def test_videos_in_stores_are_read(folder: Path) -> None:
    clip = cv2.VideoWriter(str(folder / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 5, (32, 32))
    for i in range(3):
        clip.write(np.full((32, 32, 3), 40 * i, np.uint8))
    clip.release()
    [item] = find_sources(f"file://{folder}/clip.avi", recursive=False).items
    frames = [each for _, each in open_source(item)]
    assert [each.index for each in frames if isinstance(each, Picture)] == [0, 1, 2]
    (folder / "clip.avi").write_text("no video")
    [(_, error)] = open_source(item)
    assert str(error).startswith(f"{folder}/clip.avi: not an image or video")


def test_pictures_in_tar(folder: Path, tmp_path: Path) -> None:
    shard = tmp_path / "000.tar"
    with tarfile.open(shard, "w") as tar:
        for file in sorted(folder.rglob("*")):
            tar.add(file, file.relative_to(folder).as_posix(), recursive=False)
    for source in (str(shard), str(tmp_path / "*.tar"), f"file://{shard}", f"file://{tmp_path}"):
        found = seen(source)
        for name in (".hidden.png", "broken.jpg"):
            assert f"000.tar/{name}: " in str(found.pop(f"000.tar/{name}"))
        names = sorted([*NAMES, "more/b.png"])
        are_of(found, {f"000.tar/{name}": folder / name for name in names})
    shard.write_bytes(shard.read_bytes()[:600])
    [*_, (name, error)] = open_source(Item(str(shard), "000.tar", "shard"))
    assert name == "000.tar" and "000.tar: cannot be read to its end; " in str(error)


@pytest.mark.parametrize("nested", [False, True])
def test_pictures_in_parquet(folder: Path, tmp_path: Path, nested: bool) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = [(folder / name).read_bytes() for name in NAMES] + [None, b"no image"]
    pictures = [{"bytes": each, "path": "x"} for each in data] if nested else data
    shard = tmp_path / "00 0.parquet"
    pq.write_table(pa.table({"label": list(range(5)), "image": pictures, "mask": [b""] * 5}), shard)
    for source in (str(shard), f"file://{tmp_path}"):
        found = seen(source)
        assert "parquet/3: the file is empty" in str(found.pop("00 0.parquet/3"))
        assert "parquet/4: not an image" in str(found.pop("00 0.parquet/4"))
        are_of(found, {f"00 0.parquet/{i}": folder / name for i, name in enumerate(NAMES)})
    pq.write_table(pa.table({"thumb": data, "mask": data}), shard)
    assert "which column holds pictures is unclear; of bytes: thumb, mask" in str(seen(str(shard))["00 0.parquet"])
    shard.write_bytes(b"PAR1 no more")
    assert "cannot be read to its end" in str(seen(str(shard))["00 0.parquet"])


def test_alike_addresses_are_called_by_their_places() -> None:
    items = [Item("s3://a/1.png?region=x", "1.png"), Item("s3://b/1.png", "1.png"), Item("s3://b/2.png", "2.png")]
    assert [item.name for item in told_apart(items)] == ["a/1.png", "b/1.png", "2.png"]


@pytest.mark.parametrize("source", ["0", "-", "rtsp://camera/stream", "https://host/a.png"])
def test_what_workers_cannot_read_is_refused(source: str) -> None:
    with pytest.raises(UsageError, match="workers cannot read it"):
        find_sources(source, recursive=False)
