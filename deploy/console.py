"""What the three commands share: arguments, one-line errors, exit codes."""

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

from .errors import DetforgeError


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
    arguments = parser.parse_args(argv)
    try:
        return command(arguments)
    except KeyboardInterrupt:
        return 130  # what shells expect of an interrupted program
    except BrokenPipeError:
        # The reader of stdout went away; stop quietly, and keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if arguments.debug:
            traceback.print_exc()
        line, code = _describe(error)
        print(f"error: {line}", file=sys.stderr)
        return code


def _describe(error: Exception) -> tuple[str, int]:
    if isinstance(error, DetforgeError):
        return " ".join(str(error).split()), error.exit_code
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}; check the path, its permissions and the free space", 1
    message = " ".join(str(error).split()) or type(error).__name__
    return f"{message}; a failure of our own ({type(error).__name__}); run again with --debug and report it", 1
