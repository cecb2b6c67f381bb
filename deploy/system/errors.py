"""Errors that a user can fix, each with the exit code of the three commands."""


class DetforgeError(Exception):
    """Base of all errors that detforge raises on purpose. The message is one line: what, why, what to do."""

    exit_code = 1


class UsageError(DetforgeError):
    """An unknown flag or model name, or a value out of range."""

    exit_code = 2


class InputError(DetforgeError):
    """An image, video, checkpoint or label file is missing, unreadable, corrupt or of the wrong kind."""

    exit_code = 3


class IncompatibleError(DetforgeError):
    """A model file is not from detforge or is newer than this version, or a device or backend is missing."""

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
