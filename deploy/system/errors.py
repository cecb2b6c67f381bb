"""Errors that a user can mend, each with the exit code that the three commands give it."""


class DetforgeError(Exception):
    """One line: what, why, what to do. Base of every error that detforge raises on purpose."""

    exit_code = 1


class UsageError(DetforgeError):
    """An unknown flag or model name, or a value out of range."""

    exit_code = 2


class InputError(DetforgeError):
    """An image, video, checkpoint or label file is missing, unreadable, corrupt or of the wrong kind."""

    exit_code = 3


class IncompatibleError(DetforgeError):
    """A model file that is not ours or newer than this version, or an absent device or backend."""

    exit_code = 4


class AbsentError(IncompatibleError):
    """This machine lacks a runtime or a device, or the runtime lacks an operator."""


class ExportError(DetforgeError):
    """The export failed; `reason` is the middle part of the message, for tables."""

    exit_code = 5

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class RefusedError(ExportError):
    """A runtime cannot build the network."""


class VerificationError(DetforgeError):
    """The exported file disagrees with PyTorch, or a performance gate was missed."""

    exit_code = 6
