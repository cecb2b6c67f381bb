"""A web server that gives one picture to those who know a word."""

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Served(BaseHTTPRequestHandler):
    def __init__(self, data: bytes, *arguments: object) -> None:
        self._data = data
        super().__init__(*arguments)

    def do_GET(self) -> None:
        self.send_response(200 if "key=secret" in self.path or self.headers.get("Authorization") else 403)
        self.end_headers()
        self.wfile.write(self._data)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(data: bytes) -> Iterator[str]:
    """Host and port of a server that answers "?key=secret" and every user."""
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Served, data)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
