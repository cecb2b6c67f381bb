"""The part of cuda.core.utils that detforge uses."""

from types import SimpleNamespace
from typing import Any

import numpy as np


class StridedMemoryView:
    """Where an array of another library is."""

    @classmethod
    def from_any_interface(cls, obj: Any, stream_ptr: int | None = None) -> Any:
        facts = obj.__cuda_array_interface__
        dtype = np.dtype(facts["typestr"])
        strides = facts["strides"] and tuple(step // dtype.itemsize for step in facts["strides"])
        ptr, device = facts["data"][0], getattr(obj, "device", 0)
        return SimpleNamespace(ptr=ptr, shape=facts["shape"], strides=strides, dtype=dtype, device_id=device)
