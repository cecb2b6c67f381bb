"""Prints what the real bindings have of the classes that the stand-in plays: python -P record.py MODULE.

Without -P the stand-in records itself. TensorRT's bindings want libnvinfer.so, libnvonnxparser.so and
libnvinfer_plugin.so, of which empty ones will do.
"""

import importlib
import json
import sys

CLASSES = """
Builder BuilderFlag ComputeCapability CudaGraphStrategy DataType EngineInspector HardwareCompatibilityLevel
IBuilderConfig
ICudaEngine IExecutionContext IHostMemory ILayer ILogger INetworkDefinition IOptimizationProfile IOutputAllocator
IPluginRegistry IPluginV3 IPluginV3Layer IPluginV3OneCore IProgressMonitor IRuntimeConfig ITensor ITimingCache
LayerInformationFormat LayerType MemoryPoolType NetworkDefinitionCreationFlag OnnxParser ParserError
PluginCapabilityType
ProfilingVerbosity Runtime TensorIOMode
""".split()

if __name__ == "__main__":
    module = importlib.import_module(sys.argv[1])
    found = {name: getattr(module, name) for name in CLASSES if hasattr(module, name)}
    names = {name: sorted(m for m in dir(kind) if not m.startswith("_")) for name, kind in found.items()}
    print(f'"{sys.argv[1]} {module.__version__}": {json.dumps(names)}')
