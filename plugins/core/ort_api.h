// The part of ONNX Runtime's C interface that we use, so that building needs none of its headers.
//
// Names, types and places are those of onnxruntime_c_api.h, which documents them. Its structs only grow at the end, so
// what is right for version 18 is right for every later one. tests/plugins/test_ort_api.py compares this file with the
// real header.
#pragma once

#include <cstddef>
#include <cstdint>

struct OrtApi;
struct OrtCustomOpDomain;
struct OrtEnv;
struct OrtKernelContext;
struct OrtKernelInfo;
struct OrtMemoryInfo;
struct OrtModelMetadata;
struct OrtRunOptions;
struct OrtSession;
struct OrtSessionOptions;
struct OrtShapeInferContext;
struct OrtStatus;
struct OrtTensorTypeAndShapeInfo;
struct OrtTypeInfo;
struct OrtValue;

enum OrtErrorCode { ORT_FAIL = 1 };
enum OrtLoggingLevel { ORT_LOGGING_LEVEL_FATAL = 4 };
enum OrtAllocatorType { OrtDeviceAllocator = 0, OrtArenaAllocator = 1 };
enum OrtMemType { OrtMemTypeDefault = 0 };
enum OrtCustomOpInputOutputCharacteristic { INPUT_OUTPUT_REQUIRED = 0 };
enum ONNXTensorElementDataType {
    ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT = 1,
    ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8 = 2,
    ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32 = 6,
    ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64 = 7,
    ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16 = 10,
    ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16 = 16,
};

struct OrtApiBase {
    const OrtApi* (*GetApi)(uint32_t version);
    const char* (*GetVersionString)();
};

struct OrtAllocator {
    uint32_t version;
    void* (*Alloc)(OrtAllocator* self, size_t size);
    void (*Free)(OrtAllocator* self, void* block);
};

struct OrtCustomOp {
    uint32_t version;
    void* (*CreateKernel)(const OrtCustomOp* self, const OrtApi* api, const OrtKernelInfo* info);
    const char* (*GetName)(const OrtCustomOp* self);
    const char* (*GetExecutionProviderType)(const OrtCustomOp* self);
    ONNXTensorElementDataType (*GetInputType)(const OrtCustomOp* self, size_t index);
    size_t (*GetInputTypeCount)(const OrtCustomOp* self);
    ONNXTensorElementDataType (*GetOutputType)(const OrtCustomOp* self, size_t index);
    size_t (*GetOutputTypeCount)(const OrtCustomOp* self);
    void (*KernelCompute)(void* kernel, OrtKernelContext* context);
    void (*KernelDestroy)(void* kernel);
    OrtCustomOpInputOutputCharacteristic (*GetInputCharacteristic)(const OrtCustomOp* self, size_t index);
    OrtCustomOpInputOutputCharacteristic (*GetOutputCharacteristic)(const OrtCustomOp* self, size_t index);
    OrtMemType (*GetInputMemoryType)(const OrtCustomOp* self, size_t index);
    int (*GetVariadicInputMinArity)(const OrtCustomOp* self);
    int (*GetVariadicInputHomogeneity)(const OrtCustomOp* self);
    int (*GetVariadicOutputMinArity)(const OrtCustomOp* self);
    int (*GetVariadicOutputHomogeneity)(const OrtCustomOp* self);
    OrtStatus* (*CreateKernelV2)(const OrtCustomOp* self, const OrtApi* api, const OrtKernelInfo* info, void** kernel);
    OrtStatus* (*KernelComputeV2)(void* kernel, OrtKernelContext* context);
    OrtStatus* (*InferOutputShapeFn)(const OrtCustomOp* self, OrtShapeInferContext* context);
    int (*GetStartVersion)(const OrtCustomOp* self);
    int (*GetEndVersion)(const OrtCustomOp* self);
    size_t (*GetMayInplace)(int** inputs, int** outputs);
    void (*ReleaseMayInplace)(int* inputs, int* outputs);
    size_t (*GetAliasMap)(int** inputs, int** outputs);
    void (*ReleaseAliasMap)(int* inputs, int* outputs);
};

namespace detforge::ort {

constexpr uint32_t kApiVersion = 18;

// A function by its place in OrtApi, a table of functions. GetDimensions(api, ...) calls the function.
template <size_t kPlace, class Function>
struct Slot {
    template <class... Args>
    auto operator()(const OrtApi* api, Args... args) const {
        return reinterpret_cast<Function* const*>(api)[kPlace](args...);
    }
};

constexpr Slot<0, OrtStatus*(OrtErrorCode, const char*)> CreateStatus;
constexpr Slot<2, const char*(const OrtStatus*)> GetErrorMessage;
constexpr Slot<3, OrtStatus*(OrtLoggingLevel, const char*, OrtEnv**)> CreateEnv;
constexpr Slot<7, OrtStatus*(const OrtEnv*, const char*, const OrtSessionOptions*, OrtSession**)> CreateSession;
constexpr Slot<9, OrtStatus*(OrtSession*, const OrtRunOptions*, const char* const*, const OrtValue* const*, size_t,
                             const char* const*, size_t, OrtValue**)>
    Run;
constexpr Slot<10, OrtStatus*(OrtSessionOptions**)> CreateSessionOptions;
constexpr Slot<22, OrtStatus*(OrtSessionOptions*, int)> SetSessionLogSeverityLevel;
constexpr Slot<24, OrtStatus*(OrtSessionOptions*, int)> SetIntraOpNumThreads;
constexpr Slot<25, OrtStatus*(OrtSessionOptions*, int)> SetInterOpNumThreads;
constexpr Slot<26, OrtStatus*(const char*, OrtCustomOpDomain**)> CreateCustomOpDomain;
constexpr Slot<27, OrtStatus*(OrtCustomOpDomain*, const OrtCustomOp*)> CustomOpDomain_Add;
constexpr Slot<28, OrtStatus*(OrtSessionOptions*, OrtCustomOpDomain*)> AddCustomOpDomain;
constexpr Slot<30, OrtStatus*(const OrtSession*, size_t*)> SessionGetInputCount;
constexpr Slot<31, OrtStatus*(const OrtSession*, size_t*)> SessionGetOutputCount;
constexpr Slot<33, OrtStatus*(const OrtSession*, size_t, OrtTypeInfo**)> SessionGetInputTypeInfo;
constexpr Slot<34, OrtStatus*(const OrtSession*, size_t, OrtTypeInfo**)> SessionGetOutputTypeInfo;
constexpr Slot<36, OrtStatus*(const OrtSession*, size_t, OrtAllocator*, char**)> SessionGetInputName;
constexpr Slot<37, OrtStatus*(const OrtSession*, size_t, OrtAllocator*, char**)> SessionGetOutputName;
constexpr Slot<49, OrtStatus*(const OrtMemoryInfo*, void*, size_t, const int64_t*, size_t, ONNXTensorElementDataType,
                              OrtValue**)>
    CreateTensorWithDataAsOrtValue;
constexpr Slot<51, OrtStatus*(OrtValue*, void**)> GetTensorMutableData;
constexpr Slot<55, OrtStatus*(const OrtTypeInfo*, const OrtTensorTypeAndShapeInfo**)> CastTypeInfoToTensorInfo;
constexpr Slot<60, OrtStatus*(const OrtTensorTypeAndShapeInfo*, ONNXTensorElementDataType*)> GetTensorElementType;
constexpr Slot<61, OrtStatus*(const OrtTensorTypeAndShapeInfo*, size_t*)> GetDimensionsCount;
constexpr Slot<62, OrtStatus*(const OrtTensorTypeAndShapeInfo*, int64_t*, size_t)> GetDimensions;
constexpr Slot<65, OrtStatus*(const OrtValue*, OrtTensorTypeAndShapeInfo**)> GetTensorTypeAndShape;
constexpr Slot<68, OrtStatus*(const char*, OrtAllocatorType, int, OrtMemType, OrtMemoryInfo**)> CreateMemoryInfo;
constexpr Slot<69, OrtStatus*(OrtAllocatorType, OrtMemType, OrtMemoryInfo**)> CreateCpuMemoryInfo;
constexpr Slot<78, OrtStatus*(OrtAllocator**)> GetAllocatorWithDefaultOptions;
constexpr Slot<86, OrtStatus*(const OrtKernelInfo*, const char*, int64_t*)> KernelInfoGetAttribute_int64;
constexpr Slot<90, OrtStatus*(const OrtKernelContext*, size_t, const OrtValue**)> KernelContext_GetInput;
constexpr Slot<91, OrtStatus*(OrtKernelContext*, size_t, const int64_t*, size_t, OrtValue**)> KernelContext_GetOutput;
constexpr Slot<93, void(OrtStatus*)> ReleaseStatus;
constexpr Slot<94, void(OrtMemoryInfo*)> ReleaseMemoryInfo;
constexpr Slot<95, void(OrtSession*)> ReleaseSession;
constexpr Slot<96, void(OrtValue*)> ReleaseValue;
constexpr Slot<98, void(OrtTypeInfo*)> ReleaseTypeInfo;
constexpr Slot<99, void(OrtTensorTypeAndShapeInfo*)> ReleaseTensorTypeAndShapeInfo;
constexpr Slot<100, void(OrtSessionOptions*)> ReleaseSessionOptions;
constexpr Slot<111, OrtStatus*(const OrtSession*, OrtModelMetadata**)> SessionGetModelMetadata;
constexpr Slot<116, OrtStatus*(const OrtModelMetadata*, OrtAllocator*, const char*, char**)>
    ModelMetadataLookupCustomMetadataMap;
constexpr Slot<118, void(OrtModelMetadata*)> ReleaseModelMetadata;
constexpr Slot<130, OrtStatus*(OrtSessionOptions*, const char*, const char*)> AddSessionConfigEntry;
constexpr Slot<132, void(OrtAllocator*)> ReleaseAllocator;
constexpr Slot<163, OrtStatus*(const OrtKernelInfo*, const char*, int64_t*, size_t*)> KernelInfoGetAttributeArray_int64;
constexpr Slot<193, OrtStatus*(const OrtKernelContext*, void**)> KernelContext_GetGPUComputeStream;
constexpr Slot<253, OrtStatus*(const OrtKernelContext*, const OrtMemoryInfo*, OrtAllocator**)>
    KernelContext_GetAllocator;
constexpr Slot<274, OrtStatus*(const OrtKernelContext*, void (*)(void*, size_t), size_t, size_t, void*)>
    KernelContext_ParallelFor;
constexpr Slot<277, OrtStatus*(const OrtKernelContext*, const OrtMemoryInfo*, size_t, void**)>
    KernelContext_GetScratchBuffer;

}  // namespace detforge::ort
