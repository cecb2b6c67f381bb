"""The peer that takes turns with a file: the same network in eager PyTorch, in a process of its own.

The runtime does without torch, and one process would share threads and memory between both. Requests and answers are
lines of JSON over the process's stdin and stdout; `export/bench_peer.py` answers.
"""

import contextlib
import importlib.util
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from ..card import Card
from ..contract.parse import parse
from ..system.errors import DetforgeError, IncompatibleError
from .report import Case, Result

_WORKER = "detforge.export.bench_peer"


class Peer:
    """A running peer of one file; a context, at whose end the process is gone."""

    def __init__(self, card: Card, images: Path, *, device: str, threads: int) -> None:
        if importlib.util.find_spec("torch") is None:
            raise IncompatibleError("--peer torch needs torch, which is not installed; pip install 'detforge[export]'")
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 closed where the process has ended
        self._process = subprocess.Popen(
            [sys.executable, "-m", _WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
            text=True,
            encoding="utf-8",
        )
        asked = {"card": card.to_json(), "images": str(images), "device": device, "threads": threads}
        self.weights: str = self.ask(asked)
        """Where the peer's weights come from."""

    def __enter__(self) -> "Peer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def ask(self, request: dict[str, Any]) -> Any:
        """The answer; DetforgeError with the peer's own words when it cannot give one."""
        answer: dict[str, Any] = {}
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(OSError):  # a pipe to what has ended
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            answer = json.loads(self._process.stdout.readline() or "{}")
        if "answer" not in answer:
            said = self._end()
            raise DetforgeError(f"the peer in PyTorch failed; {answer.get('error', said)}; leave out --peer")
        return answer["answer"]

    def _end(self) -> str:
        """Close its stdin, at whose end it ends, and wait for that; gives its last words."""
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                assert pipe is not None
                pipe.close()
        code = self._process.wait()
        if self._words.closed:
            return ""
        with self._words:
            self._words.seek(0)
            lines = self._words.read().decode(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), f"it ended with {code}")


class PeerTimer:
    """Has one case measured by a peer."""

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
