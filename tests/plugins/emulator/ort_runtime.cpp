// Plays ONNX Runtime's CUDA provider for libdetforge_ort_cuda: detforge_run_cuda registers the ops, makes a kernel and
// runs it, through the table of functions that core/ort_api.h describes.
//
// Workspace comes from scratch buffers of the run alone. All objects have to be given back.

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "core/abi.h"
#include "core/op.h"
#include "core/ort_api.h"

struct OrtStatus {
    std::string message;
};
struct OrtKernelInfo {
    const int64_t* next;  // attributes are asked for in their order
};
struct OrtMemoryInfo {
    std::string name;
};
struct OrtValue {
    detforge_tensor tensor;
};
struct OrtTensorTypeAndShapeInfo {
    detforge_tensor tensor;
};
struct OrtKernelContext {
    std::vector<OrtValue> inputs;
    OrtValue output;
};
struct OrtCustomOpDomain {
    std::vector<const OrtCustomOp*> ops;
};
struct OrtSessionOptions {
    OrtCustomOpDomain* domain;
};

extern "C" OrtStatus* RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base);

namespace {

using namespace detforge::ort;

std::array<void*, 300> table;
int lent = 0;  // objects and blocks that were not given back

template <class T>
T* lend(T object) {
    ++lent;
    return new T(std::move(object));
}

template <class T>
void take_back(T* object) {
    if (object != nullptr) --lent;
    delete object;
}

OrtAllocator allocator{kApiVersion,
                       [](OrtAllocator*, size_t) -> void* { return nullptr; },  // not bound to a stream
                       [](OrtAllocator*, void* block) {
                           if (block != nullptr) --lent;
                           std::free(block);
                       }};

template <class T>
struct Same {
    using type = T;
};

template <size_t kPlace, class Function>
void put(Slot<kPlace, Function>, typename Same<Function>::type* function) {
    table[kPlace] = reinterpret_cast<void*>(function);
}

template <class T>
OrtStatus* give(T** out, T* value) {
    *out = value;
    return nullptr;
}

void put_objects() {
    put(CreateStatus, [](OrtErrorCode, const char* message) { return lend(OrtStatus{message}); });
    put(GetErrorMessage, [](const OrtStatus* status) { return status->message.c_str(); });
    put(ReleaseStatus, [](OrtStatus* status) { take_back(status); });
    put(CreateCustomOpDomain, [](const char*, OrtCustomOpDomain** out) { return give(out, new OrtCustomOpDomain); });
    put(CustomOpDomain_Add, [](OrtCustomOpDomain* domain, const OrtCustomOp* op) -> OrtStatus* {
        domain->ops.push_back(op);
        return nullptr;
    });
    put(AddCustomOpDomain, [](OrtSessionOptions* options, OrtCustomOpDomain* domain) {
        return give(&options->domain, domain);
    });
    put(KernelInfoGetAttribute_int64, [](const OrtKernelInfo* info, const char*, int64_t* out) -> OrtStatus* {
        *out = *const_cast<OrtKernelInfo*>(info)->next++;
        return nullptr;
    });
    put(KernelInfoGetAttributeArray_int64,
        [](const OrtKernelInfo* info, const char*, int64_t* out, size_t* count) -> OrtStatus* {
            std::copy_n(info->next, *count, out);
            const_cast<OrtKernelInfo*>(info)->next += *count;
            return nullptr;
        });
}

void put_memory() {
    put(CreateMemoryInfo, [](const char* name, OrtAllocatorType, int, OrtMemType, OrtMemoryInfo** out) {
        return give(out, lend(OrtMemoryInfo{name}));
    });
    put(ReleaseMemoryInfo, [](OrtMemoryInfo* info) { take_back(info); });
    put(KernelContext_GetAllocator, [](const OrtKernelContext*, const OrtMemoryInfo*, OrtAllocator** out) {
        ++lent;
        return give(out, &allocator);
    });
    put(ReleaseAllocator, [](OrtAllocator*) { --lent; });
    put(KernelContext_GetScratchBuffer,
        [](const OrtKernelContext*, const OrtMemoryInfo* where, size_t bytes, void** out) -> OrtStatus* {
            if (where->name != "Cuda") return lend(OrtStatus{"no allocator of " + where->name});
            ++lent;
            return give(out, std::malloc(bytes));
        });
    put(KernelContext_GetGPUComputeStream,
        [](const OrtKernelContext*, void** out) { return give(out, static_cast<void*>(nullptr)); });
}

void put_tensors() {
    put(KernelContext_GetInput, [](const OrtKernelContext* context, size_t i, const OrtValue** out) {
        return give(out, &context->inputs[i]);
    });
    put(KernelContext_GetOutput, [](OrtKernelContext* context, size_t, const int64_t*, size_t, OrtValue** out) {
        return give(out, &context->output);
    });
    put(GetTensorTypeAndShape, [](const OrtValue* value, OrtTensorTypeAndShapeInfo** out) {
        return give(out, lend(OrtTensorTypeAndShapeInfo{value->tensor}));
    });
    put(ReleaseTensorTypeAndShapeInfo, [](OrtTensorTypeAndShapeInfo* info) { take_back(info); });
    put(GetDimensionsCount, [](const OrtTensorTypeAndShapeInfo* info, size_t* out) -> OrtStatus* {
        *out = static_cast<size_t>(info->tensor.rank);
        return nullptr;
    });
    put(GetDimensions, [](const OrtTensorTypeAndShapeInfo* info, int64_t* dims, size_t count) -> OrtStatus* {
        std::copy_n(info->tensor.dims, count, dims);
        return nullptr;
    });
    put(GetTensorMutableData, [](OrtValue* value, void** out) { return give(out, value->tensor.data); });
}

const OrtCustomOp& find(const char* name, int dtype) {
    static OrtSessionOptions options{};
    if (options.domain == nullptr) {
        put_objects();
        put_memory();
        put_tensors();
        const OrtApiBase base{[](uint32_t) { return reinterpret_cast<const OrtApi*>(table.data()); }, nullptr};
        if (RegisterCustomOps(&options, &base) != nullptr) std::abort();
    }
    constexpr ONNXTensorElementDataType kTypes[] = {
        ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16,
        ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16};
    const auto& ops = options.domain->ops;
    return **std::find_if(ops.begin(), ops.end(), [&](const OrtCustomOp* op) {
        return std::strcmp(op->GetName(op), name) == 0 && op->GetInputType(op, 0) == kTypes[dtype];
    });
}

}  // namespace

extern "C" const char* detforge_run_cuda(const char* name, int dtype, const detforge_tensor* inputs, int input_count,
                                         detforge_tensor* output, const int64_t* attributes, int, void*,
                                         size_t* workspace_bytes, void*) {
    *workspace_bytes = 0;  // the runtime has its own
    if (output->data == nullptr) return nullptr;
    static std::string problem;
    const OrtCustomOp& op = find(name, dtype);
    const OrtKernelInfo info{attributes};
    OrtKernelContext context{{}, {*output}};
    for (int i = 0; i < input_count; ++i) context.inputs.push_back({inputs[i]});
    void* kernel = nullptr;
    OrtStatus* status = op.CreateKernelV2(&op, reinterpret_cast<const OrtApi*>(table.data()), &info, &kernel);
    if (status == nullptr) {
        status = op.KernelComputeV2(kernel, &context);
        op.KernelDestroy(kernel);
    }
    problem = status == nullptr ? "" : status->message;
    take_back(status);
    if (lent != 0) problem = std::to_string(lent) + " objects were not given back";
    return problem.empty() ? nullptr : problem.c_str();
}
