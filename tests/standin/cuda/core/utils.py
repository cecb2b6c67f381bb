"""The part of cuda.core.utils that detforge uses."""

import ctypes
from types import SimpleNamespace
from typing import Any

import numpy as np


class _Tensor(ctypes.Structure):
    """DLPack's DLTensor."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class StridedMemoryView:
    """Where an array of another library is, as cuda.core 1.2.2 says it: strides count elements."""

    @classmethod
    def from_any_interface(cls, obj: Any, stream_ptr: int | None = None) -> Any:
        if hasattr(obj, "__dlpack__"):
            return _of_capsule(obj.__dlpack__(stream=stream_ptr, max_version=(1, 3)))
        facts = obj.__cuda_array_interface__
        dtype = np.dtype(facts["typestr"])
        strides = facts["strides"] and tuple(step // dtype.itemsize for step in facts["strides"])
        ptr, device = facts["data"][0], getattr(obj, "device", 0)
        return SimpleNamespace(ptr=ptr, shape=facts["shape"], strides=strides, dtype=dtype, device_id=device)


def _of_capsule(capsule: Any) -> Any:
    """The view keeps the capsule, with which its exporter's memory goes."""
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    tensor = _Tensor.from_address(pointer(capsule, b"dltensor"))
    return SimpleNamespace(
        ptr=tensor.data + tensor.byte_offset,
        shape=tuple(tensor.shape[: tensor.ndim]),
        strides=tuple(tensor.strides[: tensor.ndim]) if tensor.strides else None,
        dtype=np.dtype(f"{'iuf'[tensor.code]}{tensor.bits // 8}"),
        device_id=tensor.device_id,
        capsule=capsule,
    )
