"""libdetforge through ctypes."""

import ctypes
import sysconfig
from ctypes import POINTER, Structure, c_char_p, c_float, c_int, c_int64, c_size_t, c_void_p
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime

PREFIX = Path(sysconfig.get_path("platlib")) / "detforge/c"
RUNTIME = next(Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so.*"), None)


class Image(Structure):
    _fields_ = (("rgb", c_void_p), ("width", c_size_t), ("height", c_size_t), ("stride", c_size_t))


class Detections(Structure):
    _fields_ = (
        ("count", c_size_t),
        ("boxes", POINTER(c_float)),
        ("scores", POINTER(c_float)),
        ("labels", POINTER(c_int64)),
        ("keypoint_count", c_size_t),
        ("keypoints", POINTER(c_float)),
        ("owner", c_void_p),
    )


class Found(NamedTuple):
    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    keypoints: np.ndarray


class Library:
    """The C functions; what fails is a RuntimeError with the library's text."""

    def __init__(self, path: Path) -> None:
        self._c = ctypes.CDLL(str(path))
        for name, result, arguments in (
            ("open", c_void_p, [c_char_p, c_char_p, c_int]),
            ("close", None, [c_void_p]),
            ("label", c_char_p, [c_void_p, c_int64]),
            ("detect", POINTER(Detections), [c_void_p, POINTER(Image), c_size_t]),
            ("free", None, [POINTER(Detections)]),
            ("error", c_char_p, []),
        ):
            function = getattr(self._c, f"detforge_{name}")
            function.restype, function.argtypes = result, arguments

    def open(self, model: Path | str, runtime: str | None = str(RUNTIME)) -> int:
        handle = self._c.detforge_open(str(model).encode(), runtime and runtime.encode(), 2)
        return handle or self._fail()

    def close(self, detector: int) -> None:
        self._c.detforge_close(detector)

    def label(self, detector: int, number: int) -> str:
        return (self._c.detforge_label(detector, number) or self._fail()).decode()

    def detect(self, detector: int, images: list[np.ndarray]) -> list[Found]:
        """The detections in images (h, w, 3) uint8 RGB, whose rows may lie apart."""
        given = (Image * len(images))()
        for one, image in zip(given, images, strict=True):
            one.rgb, one.height, one.width, one.stride = image.ctypes.data, *image.shape[:2], image.strides[0]
        answer = self._c.detforge_detect(detector, given, len(images))
        if not answer:
            self._fail()
        try:
            return [_found(answer[i]) for i in range(len(images))]
        finally:
            self._c.detforge_free(answer)

    def _fail(self) -> None:
        raise RuntimeError(self._c.detforge_error().decode())


def _found(given: Detections) -> Found:
    def values(pointer: object, *shape: int) -> np.ndarray:
        return np.ctypeslib.as_array(pointer, shape).copy() if given.count else np.empty(shape, np.float32)

    keypoints = values(given.keypoints, given.count, given.keypoint_count, 3) if given.keypoint_count else np.empty(0)
    return Found(
        values(given.boxes, given.count, 4),
        values(given.scores, given.count),
        values(given.labels, given.count),
        keypoints,
    )
