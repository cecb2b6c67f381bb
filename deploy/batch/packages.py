"""The packages of the extra `ray`, which import late."""

from importlib import import_module
from typing import Any

from ..system.errors import AbsentError


def package(name: str) -> Any:
    """A package of the extra. Raises AbsentError if it is not installed."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise AbsentError(f"{error.name} is not installed; pip install 'detforge[ray]'") from error
