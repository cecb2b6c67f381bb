"""The example of a server, under load on the loopback. `REQUESTS=1000` sends more."""

import contextlib
import http.client
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import pytest

from detforge.deploy import load

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples/serve"
START = """
import sys
from ray import serve
from app import app
serve.start(http_options={"port": int(sys.argv[1])})
serve.run(app)
print("ready", flush=True)
sys.stdin.read()
"""
REQUESTS, AT_ONCE = int(os.environ.get("REQUESTS", "60")), 50
QUEUE, FLOOD = 64, 200

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray[serve] is not installed"),
]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", START, str(port)]
    environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "DETFORGE_QUEUE": str(QUEUE)}
    with subprocess.Popen(
        command,
        cwd=FOLDER,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as server:
        assert server.stdout is not None and server.stdin is not None
        try:
            assert "ready" in iter(lambda: server.stdout.readline().strip() or "ended", "ended")
            yield port
            server.stdin.close()
            server.wait(60)
        finally:
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGKILL)


def request(port: int, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=120)) as connection:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


@pytest.fixture(scope="module")
def photo() -> bytes:
    return (ROOT / "examples/photos/desk.jpg").read_bytes()


def test_no_request_is_lost(port: int, photo: bytes) -> None:
    expected = load("gfl_markers")(cv2.imread(str(ROOT / "examples/photos/desk.jpg"))).to_coco()
    with ThreadPoolExecutor(AT_ONCE) as clients:
        answers = list(clients.map(lambda _: request(port, "POST", "/detect", photo), range(REQUESTS)))
    assert Counter(status for status, _ in answers) == {200: REQUESTS}
    for _, found in answers:
        assert [each["category"] for each in found] == [each["category"] for each in expected]
        assert [each["bbox"] for each in found] == [pytest.approx(each["bbox"], abs=0.01) for each in expected]


def test_more_requests_than_may_wait_are_refused(port: int, photo: bytes) -> None:
    with ThreadPoolExecutor(FLOOD) as clients:
        answers = list(clients.map(lambda _: request(port, "POST", "/detect", photo), range(FLOOD)))
    refused = [answer for status, answer in answers if status == 503]
    assert refused and {status for status, _ in answers} == {200, 503}
    assert refused[0]["detail"] == "too many requests wait; try again"


def test_health(port: int) -> None:
    assert request(port, "GET", "/health") == (200, {"model": "gfl_markers"})


@pytest.mark.parametrize("body", [b"", b"no image", b"\xff\xd8\xff\xe0 cut off"])
def test_a_bad_image_is_the_clients_fault(port: int, body: bytes) -> None:
    status, answer = request(port, "POST", "/detect", body)
    assert status == 400
    assert answer["detail"].startswith("the request's body: ")


def test_an_image_that_is_too_large_is_refused(port: int) -> None:
    assert request(port, "POST", "/detect", b"0" * (33 << 20))[0] == 413


def test_a_slow_client_holds_nobody_up(port: int, photo: bytes) -> None:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=120)) as slow:
        slow.putrequest("POST", "/detect")
        slow.putheader("Content-Length", str(len(photo)))
        slow.endheaders()
        slow.send(photo[:1000])
        assert request(port, "POST", "/detect", photo)[0] == 200
        slow.send(photo[1000:])
        answer = slow.getresponse()
        assert answer.status == 200 and answer.read()


def test_a_killed_model_is_replaced(port: int, photo: bytes) -> None:
    before = _replica()
    os.kill(before, signal.SIGKILL)
    deadline = time.monotonic() + 120
    while request(port, "POST", "/detect", photo)[0] != 200:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert _replica() != before


def _replica() -> int:
    """The process of the model, by the name that Ray gives it."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if b"ServeReplica:default:Detections" in (process / "cmdline").read_bytes():
                return int(process.name)
    raise AssertionError("the model has no process")
