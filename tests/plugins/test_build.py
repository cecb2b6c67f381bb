"""What is built, what is left out, and what is downloaded for it."""

import hashlib
import http.server
import shutil
import subprocess
import threading
from collections.abc import Generator
from functools import partial
from pathlib import Path

import pytest
from operator_sources import SOURCES

CORE = SOURCES / "core"
CMAKE = shutil.which("cmake")
pytestmark = pytest.mark.skipif(CMAKE is None, reason="CMake is not on the path")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Generator[str]:
    """A server of tmp_path/served on this computer; gives its url."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "a.h").write_text("int a;")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_address[1]}"
        served.shutdown()


def fetch(folder: Path, *lines: str) -> subprocess.CompletedProcess[str]:
    """Run fetch_headers on a list of these lines; the headers go to folder/got."""
    (folder / "list.txt").write_text("\n".join(("# where from", *lines)) + "\n")
    script = folder / "fetch.cmake"
    script.write_text(f"include({CORE}/fetch_headers.cmake)\nfetch_headers({folder}/list.txt {folder}/got)\n")
    return subprocess.run([str(CMAKE), "-P", str(script)], capture_output=True, text=True, check=False)


def test_headers_are_downloaded_and_checked(tmp_path: Path, server: str) -> None:
    right = hashlib.sha256(b"int a;").hexdigest()
    assert fetch(tmp_path, server, f"a.h {right}").returncode == 0
    assert (tmp_path / "got" / "a.h").read_text() == "int a;"


def test_a_wrong_header_stops_the_build(tmp_path: Path, server: str) -> None:
    done = fetch(tmp_path, server, f"a.h {'0' * 64}")
    assert done.returncode != 0
    assert "hash" in done.stderr.lower()


def test_the_list_of_headers_is_pinned() -> None:
    base, *files = [x for x in (CORE / "tensorrt_headers.txt").read_text().splitlines() if not x.startswith("#")]
    assert base.startswith("https://")
    assert all(len(line.split()[1]) == 64 for line in files)


def configure(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Let parts.cmake decide, without anything of this environment."""
    (folder / "CMakeLists.txt").write_text(
        f"cmake_minimum_required(VERSION 3.20)\nproject(parts LANGUAGES CXX)\ninclude({CORE}/parts.cmake)\n"
    )
    command = [str(CMAKE), "-S", str(folder), "-B", str(folder / "build"), *options]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_each_part_left_out_says_why(tmp_path: Path) -> None:
    done = configure(tmp_path, "-DDETFORGE_CUDA=OFF")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if "detforge:" in line]
    assert [line.split()[2] for line in lines] == ["CUDA", "TENSORRT"]
    assert "CUDA is left out: DETFORGE_CUDA is off" in done.stdout
    assert "TENSORRT is left out: it needs CUDA" in done.stdout


def test_a_part_that_was_asked_for_must_be_built(tmp_path: Path) -> None:
    done = configure(tmp_path, "-DDETFORGE_CUDA=OFF", "-DDETFORGE_TENSORRT=ON")
    assert done.returncode != 0
    assert "TENSORRT was asked for and cannot be built: it needs CUDA" in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("known", "built"),
    [
        ((53, 75, 80, 86, 87, 89, 90), "75-real;80;86-real;89-real;90-real"),  # CUDA 12.0 to 12.7
        ((80, 90, 100, 103, 120, 121), "80;90-real;100-real;120-real"),
        ((90, 1000), "90-real"),
    ],
)
def test_architectures_are_those_that_nvcc_knows(tmp_path: Path, known: tuple[int, ...], built: str) -> None:
    nvcc = tmp_path / "nvcc"
    lines = "\n".join(f"compute_{number}" for number in known)
    nvcc.write_text(f"#!/bin/sh\n[ $# = 1 ] && [ $1 = --list-gpu-arch ] && echo '{lines}'\n")
    nvcc.chmod(0o755)
    script = tmp_path / "ask.cmake"
    ask = f"include({CORE}/architectures.cmake)\nknown_architectures({nvcc} built)\n"
    script.write_text(ask + 'message("${built}")\n')
    done = subprocess.run([str(CMAKE), "-P", str(script)], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == built
