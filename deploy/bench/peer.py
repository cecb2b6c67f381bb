"""The peer of an exported file: the same network in eager PyTorch, measured in a separate process.

The process is separate because deploy/ does not import torch, and because one process would share threads and memory
between both. Requests and answers are lines of JSON over the process's stdin and stdout. `export/bench_peer.py` is the
process.
"""

import contextlib
import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Any

from ..card import Card
from ..contract.parse import parse
from ..system.errors import DetforgeError, IncompatibleError
from .report import Case, Result

_WORKER = "detforge.export.bench_peer"


class Peer:
    """The running peer of one file. Use it as a context manager, which ends the process."""

    def __init__(self, card: Card, images: Sequence[str], *, device: str, threads: int) -> None:
        if importlib.util.find_spec("torch") is None:
            raise IncompatibleError("--peer torch needs torch, which is not installed; pip install 'detforge[export]'")
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 closed when the process has ended
        self._process = subprocess.Popen(
            [sys.executable, "-m", _WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            encoding="utf-8",
        )
        asked = {"card": card.to_json(), "images": list(images), "device": device, "threads": threads}
        self.weights: str = self.ask(asked)
        """The source of the peer's weights."""

    def __enter__(self) -> "Peer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def ask(self, request: dict[str, Any]) -> Any:
        """The answer to a request. Raises DetforgeError with the peer's message if it fails."""
        answer: dict[str, Any] = {}
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(OSError):  # the process has ended
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            answer = json.loads(self._process.stdout.readline() or "{}")
        if "answer" not in answer:
            said = self._end()
            raise DetforgeError(f"the peer in PyTorch failed; {answer.get('error', said)}; leave out --peer")
        return answer["answer"]

    def _end(self) -> str:
        """Close the process's stdin, which ends it, wait, and return the last line that it wrote to stderr."""
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                assert pipe is not None
                pipe.close()
        code = self._process.wait()
        if self._stderr.closed:
            return ""
        with self._stderr:
            self._stderr.seek(0)
            lines = self._stderr.read().decode(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), f"it ended with {code}")


class PeerTimer:
    """Times one case in a peer's process."""

    def __init__(self, case: Case, peer: Peer) -> None:
        self.case = case
        self.seconds = 0.0
        self._peer = peer

    def warm_up(self, seconds: float) -> float:
        return self._ask("warm_up", seconds=seconds)

    def measure(self, seconds: float, *, settle: bool) -> None:
        self.seconds = self._ask("measure", seconds=seconds, settle=settle)

    def result(self) -> Result:
        return parse(Result, self._ask("result"), "")

    def _ask(self, what: str, **more: Any) -> Any:
        return self._peer.ask({"do": what, "case": asdict(self.case)} | more)
