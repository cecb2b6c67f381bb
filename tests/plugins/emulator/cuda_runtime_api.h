// What the operators use of CUDA's runtime, for a GPU that is emulated on the CPU: see cuda_runtime.h.
#pragma once

#include <cstddef>

using cudaError_t = int;
using cudaStream_t = void*;
using cudaEvent_t = void*;  // which TensorRT's headers name
constexpr cudaError_t cudaSuccess = 0, cudaErrorInvalidConfiguration = 9;

enum cudaDeviceAttr { cudaDevAttrMaxSharedMemoryPerBlockOptin };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize };

inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline cudaError_t cudaGetDevice(int* device) { return *device = 0, cudaSuccess; }
inline const char* cudaGetErrorString(cudaError_t) { return "the emulated GPU refused the launch"; }
