"""TensorRT-RTX's stand-in; see README.md."""

import os

from _play import play

__version__ = os.environ.get("STANDIN_RTX", "1.7.1.116")
globals().update(play(__name__, __version__))
