"""Detection in more pictures than one process can see, with Ray Data."""

from .dataset import detect

__all__ = ["detect"]
