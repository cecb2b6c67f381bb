"""TensorRT's stand-in; see README.md."""

import os

from _play import play

__version__ = os.environ.get("STANDIN_TENSORRT", "11.4.0.106")
globals().update(play(__name__, __version__))
