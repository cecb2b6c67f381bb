"""A store with the part of Amazon S3's interface that lists and reads objects, on the loopback."""

import contextlib
import http.server
import threading
from collections.abc import Generator
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


@contextlib.contextmanager
def object_store(bucket: str, folder: Path) -> Generator[str]:
    """Serve the files of a folder as the objects of a bucket; gives the settings for an address."""
    objects = {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}

    class Handler(_Handler):
        held: ClassVar = (bucket, objects)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"scheme=http&region=here&endpoint_override=127.0.0.1:{server.server_address[1]}"
        server.shutdown()


class _Handler(http.server.BaseHTTPRequestHandler):
    held: ClassVar[tuple[str, dict[str, bytes]]]
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._object()

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        query = parse_qs(asked.query)
        if "list-type" in query:
            self._list(query.get("prefix", [""])[0], query.get("delimiter", ["\0"])[0])
        else:
            self._object()

    def _object(self) -> None:
        bucket, objects = self.held
        data = objects.get(unquote(urlsplit(self.path).path).removeprefix(f"/{bucket}/"))
        if data is None:
            self._answer(404, b"")
            return
        first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        part = data[int(first) : int(last) + 1 if last else None]
        self._answer(206 if "Range" in self.headers else 200, part)

    def _list(self, prefix: str, delimiter: str) -> None:
        objects = self.held[1]
        found = [
            f"<Contents><Key>{escape(name)}</Key><Size>{len(data)}</Size></Contents>"
            for name, data in sorted(objects.items())
            if name.startswith(prefix) and delimiter not in name.removeprefix(prefix)
        ]
        listed = f"<KeyCount>{len(found)}</KeyCount><IsTruncated>false</IsTruncated>{''.join(found)}"
        self._answer(200, f"<ListBucketResult>{listed}</ListBucketResult>".encode())

    def _answer(self, status: int, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass
