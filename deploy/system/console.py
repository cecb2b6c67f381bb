"""Shared parts of the three commands: argument parsing, one-line errors, exit codes."""

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
    """Raised for SIGTERM, which ends a command as cleanly as Ctrl-C does."""


def ended_by(stop: KeyboardInterrupt) -> int:
    """The exit code of a program that a signal ended, by the convention of shells."""
    return 128 + (signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT)


class Parser(argparse.ArgumentParser):
    """An argument parser that prints errors as one line and exits with 2. Flags cannot be abbreviated."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(prog=prog, description=description, allow_abbrev=False)
        self.add_argument("--debug", action="store_true", help="show the traceback of an error")

    def error(self, message: str) -> NoReturn:
        print(f"error: {message}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(2)


def run(command: Callable[[argparse.Namespace], int], parser: Parser, argv: Sequence[str] | None = None) -> int:
    """Parse the arguments, run the command and return its exit code. Exceptions are printed as one line."""
    warnings.showwarning = _show_warning
    arguments = parser.parse_args(argv)
    if reconfigure := getattr(sys.stdout, "reconfigure", None):
        reconfigure(errors="backslashreplace")  # file names may not be valid UTF-8
    try:
        with _signals_raise():
            code = command(arguments)
            sys.stdout.flush()
            return code
    except KeyboardInterrupt as stop:
        return ended_by(stop)
    except BrokenPipeError:
        return 1  # the reader of stdout has closed it
    except Exception as error:
        return complain(error, arguments.debug)
    finally:
        _flush_stdout()


def complain(error: Exception, debug: bool = False) -> int:
    """Print an error as one line to stderr and return its exit code. With `debug` its traceback is printed first."""
    if debug:
        traceback.print_exception(error)
    line, code = _describe(error)
    print(f"error: {line}", file=sys.stderr)
    return code


@contextlib.contextmanager
def native_code_muted() -> Generator[None]:
    """Suppress what C libraries (libpng, libjpeg, FFmpeg, OpenCV) write to stderr about bad files.

    They write to descriptor 2 regardless of their settings. In this context it is redirected to the null device, and
    `sys.stderr` uses another descriptor. For commands only, because it affects the whole process.
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
def _signals_raise() -> Generator[None]:
    """Raise SIGINT and SIGTERM as exceptions, so that temporary files are deleted and child processes end.

    Only the first signal raises, because a second one would interrupt the cleanup. Does nothing outside the main
    thread, because only the main thread can set signal handlers.
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
    """Print a warning as one line without its place in our code, as errors are."""
    print(f"warning: {' '.join(str(message).split())}", file=sys.stderr)


def _flush_stdout() -> None:
    """Flush stdout. If it is closed, replace it, so that Python prints no error at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _descriptor(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError):  # not a file, as in tests and notebooks
        return None


def _describe(error: Exception) -> tuple[str, int]:
    if isinstance(error, DetforgeError):
        return " ".join(str(error).split()), error.exit_code
    if isinstance(error, OSError) and error.strerror:
        where = "output" if error.filename is None else error.filename
        return f"{where}: {error.strerror}; check the path, its permissions and the free space", 1
    message = " ".join(str(error).split()) or type(error).__name__
    return (
        f"{message}; internal error ({type(error).__name__}); run again with --debug and report it",
        1,
    )
