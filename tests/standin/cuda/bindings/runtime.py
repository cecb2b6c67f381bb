# ruff: noqa: N801, N802, N815, N816
"""The part of cuda.bindings.runtime that detforge uses; addresses are this computer's."""

import ctypes
import enum
import itertools
import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

cudaStreamNonBlocking = 1


class cudaError_t(enum.IntEnum):
    cudaSuccess = 0
    cudaErrorInvalidValue = 1
    cudaErrorMemoryAllocation = 2
    cudaErrorInsufficientDriver = 35
    cudaErrorNoDevice = 100
    cudaErrorInvalidDevice = 101
    cudaErrorStreamCaptureInvalidated = 901


class cudaMemcpyKind(enum.IntEnum):
    cudaMemcpyHostToDevice = 1
    cudaMemcpyDeviceToHost = 2


class cudaDeviceAttr(enum.IntEnum):
    cudaDevAttrComputeCapabilityMajor = 75
    cudaDevAttrComputeCapabilityMinor = 76


class cudaStreamCaptureMode(enum.IntEnum):
    cudaStreamCaptureModeThreadLocal = 1


OK, INVALID = cudaError_t.cudaSuccess, cudaError_t.cudaErrorInvalidValue
Work = Callable[[], None]

_memory: dict[int, tuple[str, Any]] = {}  # address: where it plays, and the bytes
_pending: dict[int, list[Work]] = {}  # of each stream, until somebody waits
_captured: dict[int, list[Work] | None] = {}  # of each stream that is capturing; None once that is invalid
_graphs: list[list[Work]] = []  # that are not destroyed
_last = [OK]  # the last error, until somebody asks for it
_handles = itertools.count(1)
calls: list[str] = []
"""The functions that were called, for tests."""


def enqueue(stream: int, work: Work) -> None:
    """Not in CUDA: work for a stream, as TensorRT's kernels are."""
    (_captured[stream] if stream in _captured else _pending[stream]).append(work)  # type: ignore[union-attr]


def invalidate(stream: int) -> bool:
    """Not in CUDA: what waits for the stream makes its capture invalid; whether there was one."""
    if stream in _captured:
        _captured[stream] = None
    return stream in _captured


def device_bytes(address: int, size: int) -> Any:
    """Not in CUDA: the bytes of device memory, which has to be alive and large enough."""
    return _bytes(address, size, "device")


def _bytes(address: int, size: int, place: str) -> Any:
    for start, (where, raw) in _memory.items():
        if where == place and start <= address and address + size <= start + len(raw):
            return (ctypes.c_uint8 * size).from_address(address)
    raise AssertionError(f"{size} bytes at {address:#x} are not in {place} memory that is alive")


def _gpu() -> list[str]:
    return [gpu.strip() for gpu in os.environ.get("STANDIN_GPU", "").split(";") if gpu.strip()]


def _failed(error: cudaError_t) -> cudaError_t:
    _last[0] = error
    return error


def cudaGetLastError() -> tuple[cudaError_t]:
    error, _last[0] = _last[0], OK
    return (error,)


def cudaDriverGetVersion() -> tuple[cudaError_t, int]:
    return OK, 12080


def cudaGetDeviceCount() -> tuple[cudaError_t, int]:
    if os.environ.get("STANDIN_FAULT") == "old driver":
        return _failed(cudaError_t.cudaErrorInsufficientDriver), 0
    return (OK, len(_gpu())) if _gpu() else (cudaError_t.cudaErrorNoDevice, 0)


def cudaSetDevice(device: int) -> tuple[cudaError_t]:
    return (OK if device < len(_gpu()) else cudaError_t.cudaErrorInvalidDevice,)


def cudaDeviceGetAttribute(attr: cudaDeviceAttr, device: int) -> tuple[cudaError_t, int]:
    capability = int(_gpu()[device].split()[-1])
    return OK, divmod(capability, 10)[attr - cudaDeviceAttr.cudaDevAttrComputeCapabilityMajor]


def cudaGetDeviceProperties(device: int) -> tuple[cudaError_t, Any]:
    return OK, SimpleNamespace(name=_gpu()[device].rpartition(" ")[0].encode() + b"\0\0")


def cudaStreamCreateWithFlags(flags: int) -> tuple[cudaError_t, int]:
    calls.append("cudaStreamCreateWithFlags")
    _pending[stream := next(_handles)] = []
    return OK, stream


def cudaStreamDestroy(stream: int) -> tuple[cudaError_t]:
    return (OK if _pending.pop(stream, None) is not None else INVALID,)


def cudaStreamSynchronize(stream: int) -> tuple[cudaError_t]:
    work, _pending[stream] = _pending[stream], []
    for each in work:
        each()
    return (OK,)


def _allocate(size: int, place: str) -> tuple[cudaError_t, int]:
    if size > 1 << 32:
        return _failed(cudaError_t.cudaErrorMemoryAllocation), 0
    raw = (ctypes.c_uint8 * size)(*([0xAB] * min(size, 64)))
    _memory[address := ctypes.addressof(raw)] = place, raw
    return OK, address


def cudaMalloc(size: int) -> tuple[cudaError_t, int]:
    calls.append("cudaMalloc")
    return _allocate(size, "device")


def cudaMallocHost(size: int) -> tuple[cudaError_t, int]:
    calls.append("cudaMallocHost")
    return _allocate(size, "pinned")


def _free(address: int, place: str) -> tuple[cudaError_t]:
    if _memory.get(address, ("", None))[0] != place:
        return (INVALID,)
    for stream in list(_pending):  # as CUDA does: what may still use it is done first
        cudaStreamSynchronize(stream)
    del _memory[address]
    return (OK,)


def cudaFree(address: int) -> tuple[cudaError_t]:
    return _free(address, "device")


def cudaFreeHost(address: int) -> tuple[cudaError_t]:
    return _free(address, "pinned")


def cudaMemcpyAsync(dst: int, src: int, count: int, kind: cudaMemcpyKind, stream: int) -> tuple[cudaError_t]:
    places = ("pinned", "device") if kind == cudaMemcpyKind.cudaMemcpyHostToDevice else ("device", "pinned")
    source, target = _bytes(src, count, places[0]), _bytes(dst, count, places[1])
    enqueue(stream, lambda: ctypes.memmove(target, source, count))  # type: ignore[arg-type]
    return (OK,)


def cudaMemcpy(dst: int, src: int, count: int, kind: cudaMemcpyKind) -> tuple[cudaError_t]:
    assert kind == cudaMemcpyKind.cudaMemcpyDeviceToHost
    ctypes.memmove(dst, _bytes(src, count, "device"), count)
    return (OK,)


def cudaStreamBeginCapture(stream: int, mode: cudaStreamCaptureMode) -> tuple[cudaError_t]:
    _captured[stream] = []
    return (OK,)


def cudaStreamEndCapture(stream: int) -> tuple[cudaError_t, list[Work] | None]:
    work = _captured.pop(stream)
    return (_failed(cudaError_t.cudaErrorStreamCaptureInvalidated) if work is None else OK), work


def cudaGraphInstantiate(graph: list[Work], flags: int) -> tuple[cudaError_t, list[Work]]:
    calls.append("cudaGraphInstantiate")
    _graphs.append(graph)
    if os.environ.get("STANDIN_FAULT") == "no instance":
        return _failed(cudaError_t.cudaErrorMemoryAllocation), []
    return OK, list(graph)


def cudaGraphLaunch(graph: list[Work], stream: int) -> tuple[cudaError_t]:
    calls.append("cudaGraphLaunch")
    for work in graph:
        enqueue(stream, work)
    return (OK,)


def cudaGraphDestroy(graph: list[Work]) -> tuple[cudaError_t]:
    _graphs.remove(graph)
    return (OK,)


def cudaGraphExecDestroy(graph: list[Work]) -> tuple[cudaError_t]:
    return (OK,)
