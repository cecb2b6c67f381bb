"""What the three commands share: arguments, one-line errors, exit codes."""

import argparse
import contextlib
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Generator, Sequence
from typing import NoReturn, TextIO

from .errors import DetforgeError


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a command as Ctrl-C does: cleanly."""


def ended_by(stop: KeyboardInterrupt) -> int:
    """The exit code that shells expect of a program that was told to end."""
    return 128 + (signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT)


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line and exit with 2; flags are never abbreviated."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(prog=prog, description=description, allow_abbrev=False)
        self.add_argument("--debug", action="store_true", help="show the traceback of an error")

    def error(self, message: str) -> NoReturn:
        print(f"error: {message}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(2)


def run(command: Callable[[argparse.Namespace], int], parser: Parser, argv: Sequence[str] | None = None) -> int:
    """Parse the arguments, run the command, and turn what it raises into one line and the exit code."""
    warnings.showwarning = _show_warning
    arguments = parser.parse_args(argv)
    if reconfigure := getattr(sys.stdout, "reconfigure", None):
        reconfigure(errors="backslashreplace")  # a file name need not be text
    try:
        with _told_to_end():
            code = command(arguments)
            sys.stdout.flush()
            return code
    except KeyboardInterrupt as stop:
        return ended_by(stop)
    except BrokenPipeError:
        return 1  # the reader of stdout went away; stop quietly
    except Exception as error:
        return complain(error, arguments.debug)
    finally:
        _settle_stdout()


def complain(error: Exception, debug: bool = False) -> int:
    """Print an error as one line on stderr, after its traceback when `debug`; gives its exit code."""
    if debug:
        traceback.print_exception(error)
    line, code = _describe(error)
    print(f"error: {line}", file=sys.stderr)
    return code


@contextlib.contextmanager
def native_code_muted() -> Generator[None]:
    """Keep what C libraries (libpng, libjpeg, FFmpeg, OpenCV) write about bad files off stderr.

    They write to descriptor 2 whatever their own settings say, so for a while that leads nowhere and
    `sys.stderr` has a descriptor of its own. For commands only: the whole process falls silent.
    """
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    stderr = sys.stderr
    if _descriptor(stderr) == 2:
        sys.stderr = open(kept, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    try:
        yield
    finally:
        sys.stderr.flush()
        sys.stderr = stderr
        os.dup2(kept, 2)
        os.close(kept)


@contextlib.contextmanager
def _told_to_end() -> Generator[None]:
    """SIGINT and SIGTERM as an exception, so that temporary files go and processes end.

    Once: a second one would cut that short. Only the main thread may ask for it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    told = False

    def end(number: int, _: object) -> None:
        nonlocal told
        if not told:
            told = True
            raise Terminated if number == signal.SIGTERM else KeyboardInterrupt

    heard = [each for each in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(each) is not signal.SIG_IGN]
    before = {each: signal.signal(each, end) for each in heard}
    try:
        yield
    finally:
        if not told:
            for each, handler in before.items():
                signal.signal(each, handler)


def _show_warning(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object) -> None:
    """One line, as errors are: where in our code it was noticed helps nobody."""
    print(f"warning: {' '.join(str(message).split())}", file=sys.stderr)


def _settle_stdout() -> None:
    """Keep Python from complaining at exit about a stdout that takes no more."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _descriptor(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError):  # replaced by something that is no file, in tests and notebooks
        return None


def _describe(error: Exception) -> tuple[str, int]:
    if isinstance(error, DetforgeError):
        return " ".join(str(error).split()), error.exit_code
    if isinstance(error, OSError) and error.strerror:
        where = "output" if error.filename is None else error.filename
        return f"{where}: {error.strerror}; check the path, its permissions and the free space", 1
    message = " ".join(str(error).split()) or type(error).__name__
    return (
        f"{message}; a failure of our own ({type(error).__name__}); run again with --debug and report it",
        1,
    )
