"""Downloading checkpoints, from a server on this machine."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from detforge.deploy.system.errors import InputError
from detforge.models.checkpoint import fetch

BODY = bytes(range(256)) * 9000
NAME = f"gfl_20200629_121244-{hashlib.sha256(BODY).hexdigest()[:8]}.pth"


class Handler(BaseHTTPRequestHandler):
    """Serves BODY under any name, and misbehaves under some."""

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        moods = {
            "/missing": (404, {}),
            "/ftp": (302, {"Location": "ftp://127.0.0.1/a.pth"}),
            "/moved": (302, {"Location": f"/{NAME}"}),
            "/short": (200, {"Content-Length": str(len(BODY) + 1)}),
            "/odd": (200, {"Content-Length": "many"}),
        }
        mood = self.path[: self.path.rfind("/")]
        status, headers = moods.get(mood, (200, {"Content-Length": str(len(BODY))}))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if status == 200:
            self.wfile.write(BODY[:-1] + b"x" if mood == "/wrong" else BODY)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Keeps the paths that were asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.paths: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is no news."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Path]:
    """An empty cache, no proxy, and the promise that nothing is printed where there is no terminal."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    yield tmp_path / "detforge"
    assert capfd.readouterr() == ("", "")


def files(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


def test_downloads_once(server: Server, cache: Path) -> None:
    for _ in range(2):
        assert fetch(f"{server.url}/a/{NAME}?x=1#y") == cache / NAME
        assert (cache / NAME).read_bytes() == BODY
    assert server.paths == [f"/a/{NAME}?x=1"]
    assert files(cache) == [NAME]


def test_a_damaged_copy_is_replaced(server: Server, cache: Path) -> None:
    cache.mkdir()
    (cache / NAME).write_bytes(b"half")
    assert fetch(f"{server.url}/{NAME}").read_bytes() == BODY


def test_without_a_digest_it_is_downloaded_again(server: Server) -> None:
    for _ in range(2):
        fetch(f"{server.url}/latest.pth")
    assert len(server.paths) == 2


def test_follows_redirections(server: Server) -> None:
    assert fetch(f"{server.url}/moved/{NAME}").read_bytes() == BODY


def test_home_holds_the_cache_by_default(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert fetch(f"{server.url}/{NAME}") == tmp_path / ".cache" / "detforge" / NAME


@pytest.mark.parametrize(
    ("path", "name"),
    [("/a%2Fb/..%2f%2e%2e%2fx%20y%00.pth", "x_y_.pth"), ("/.hidden.pth", "hidden.pth"), ("/%C3%A9.pth", "_.pth")],
)
def test_names_are_plain(server: Server, cache: Path, path: str, name: str) -> None:
    assert fetch(server.url + path) == cache / name
    assert files(cache) == [name]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/missing/a.pth", "404"),
        ("/ftp/a.pth", "ftp"),
        ("/short/a.pth", f"cut off after {len(BODY)} of {len(BODY) + 1} bytes"),
        ("/odd/a.pth", "cannot be downloaded"),
        (f"/wrong/{NAME}", "sha256 differs"),
    ],
)
def test_a_failure_leaves_nothing(server: Server, cache: Path, path: str, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        fetch(server.url + path)
    message = str(caught.value)
    assert message.startswith(f"{server.url}{path}: ")
    assert reason in message
    assert "--checkpoint FILE" in message
    assert "\n" not in message
    assert files(cache) == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "gfl.pth",
        "file:///etc/passwd",
        "ftp://host/a.pth",
        "http://",
        "http:///a.pth",
        "http://[::1/a.pth",
        "http://host/",
        "http://host/..",
        "http://127.0.0.1:bad/a.pth",
        "http://127.0.0.1:1/a.pth",
        "http://no-such-host.invalid/a.pth",
        "http://host name/a.pth",
        "http://" + "x" * 300 + "/a.pth",
    ],
)
def test_addresses_that_cannot_work_are_refused(cache: Path, url: str) -> None:
    with pytest.raises(InputError) as caught:
        fetch(url)
    assert str(caught.value).startswith(f"{url}: ")
    assert "\n" not in str(caught.value)
    assert files(cache) == []
