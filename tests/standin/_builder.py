# ruff: noqa: F821
"""From a network to a plan, which holds the ONNX file; see _network.py."""

import json
import os
import time
import zlib
from pathlib import Path
from typing import Any

RTX = MODULE == "tensorrt_rtx"
MAGIC = b"standin"
LEAST_WORKSPACE = 2 << 20


class IOptimizationProfile(_Real):
    def __init__(self) -> None:
        self._shapes: dict[str, list[Any]] = {}

    def set_shape(self, input: str, min: tuple[int, ...], opt: tuple[int, ...], max: tuple[int, ...]) -> None:
        self._shapes[input] = [min, opt, max]


class ITimingCache(_Real):
    def serialize(self) -> bytes:
        return b"timings"


class IBuilderConfig(_Real):
    def __init__(self, logger: ILogger) -> None:
        self._logger, self._profiles, self._flags, self._sm, self._cache = logger, [], [], {}, None
        self.progress_monitor: Any = None
        self.plugins_to_serialize: list[str] = []
        if RTX:
            self.num_compute_capabilities = 0
        self.hardware_compatibility_level = self.profiling_verbosity = None
        self._workspace = 0

    def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
        self._profiles.append(profile)
        return len(self._profiles) - 1

    def set_compute_capability(self, capability: Any, index: int) -> bool:
        self._sm[index] = capability.name.removeprefix("SM")
        return True

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
        assert pool == MemoryPoolType.WORKSPACE
        self._workspace = pool_size

    def set_flag(self, flag: Any) -> None:
        self._flags.append(flag.name)

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache:
        if serialized_timing_cache not in (b"", b"timings"):
            self._logger.log(ILogger.WARNING, "Failed to deserialize timing cache. Returning an empty timing cache.")
        return ITimingCache()

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        self._cache = cache
        return True

    def get_timing_cache(self) -> ITimingCache | None:
        return self._cache


class Builder(_Real):
    def __init__(self, logger: ILogger) -> None:
        assert logger._ready
        self.logger = logger

    def create_network(self, flags: int = 0) -> INetworkDefinition:
        strong = 1 << int(NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        assert flags == strong, "precision is in the file"
        return INetworkDefinition()

    def create_builder_config(self) -> IBuilderConfig:
        return IBuilderConfig(self.logger)

    def create_optimization_profile(self) -> IOptimizationProfile:
        return IOptimizationProfile()

    def build_serialized_network(self, network: INetworkDefinition, config: IBuilderConfig) -> bytes | None:
        monitor = config.progress_monitor
        monitor.phase_start("Building engine", None, 2)
        monitor.phase_start("Timing", "Building engine", 1)
        monitor.step_complete("Timing", 0)
        monitor.phase_finish("Timing")
        self.logger.log(ILogger.WARNING, "Your ONNX model has been generated with INT64 weights.")
        self.logger.log(ILogger.WARNING, "Tactic Device request: 9MB. Device memory is insufficient to use tactic.")
        monitor.step_complete("Building engine", 1)
        monitor.phase_finish("Building engine")
        if os.environ.get("STANDIN_FAULT") == "crash":
            os.kill(os.getpid(), 6)
        if os.environ.get("STANDIN_FAULT") == "refuse":
            self.logger.log(ILogger.ERROR, "Error Code 10: no implementation for node x")
            return None
        if os.environ.get("STANDIN_FAULT") == "hang":
            time.sleep(600)
        if 0 < config._workspace < LEAST_WORKSPACE:
            self.logger.log(ILogger.ERROR, "Myelin: no tactics to implement the operation within workspace limit.")
            return None
        asked = {
            "version": VERSION,
            "sm": list(config._sm.values()) if RTX else [_capability()],
            "profiles": [profile._shapes for profile in config._profiles],
            "flags": config._flags,
            "workspace": config._workspace,
            "hardware": getattr(config.hardware_compatibility_level, "name", ""),
            "plugins": [name for path in config.plugins_to_serialize for name in Path(path).read_text().split()],
        }
        head = json.dumps(asked).encode()
        body = len(head).to_bytes(8, "little") + head + network._model
        return MAGIC + zlib.crc32(body).to_bytes(4, "little") + body
