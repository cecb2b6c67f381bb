#include "abi.h"

#include <cstring>
#include <exception>

#include "ops.h"  // made by CMake: every folder's kernel.h, and AllOps
#include "run.h"
#include "threads.h"

namespace detforge {
namespace {

struct Arguments {
    const char* op;
    int dtype;
    const detforge_tensor* inputs;
    int input_count;
    detforge_tensor* output;
    const int64_t* attributes;
    int attribute_count;
};

// Reads a tensor; its dims are 0 beyond its rank. Returns false if no tensor of ours can be like it.
bool read(const detforge_tensor& from, Tensor& to) {
    if (from.rank < 0 || from.rank > 4) return false;
    to.data = from.data;
    to.shape.rank = from.rank;
    for (int axis = 0; axis < from.rank; ++axis) {
        if (from.dims[axis] < 0) return false;
        to.shape[axis] = from.dims[axis];
    }
    return true;
}

// Checks the call, fills in the result's shape, and calls run(Tag<Op>, call).
template <class Run>
const char* dispatch(const Arguments& given, DType last_dtype, const Run& run) {
    if (given.dtype < 0 || given.dtype > static_cast<int>(last_dtype)) return "a dtype that this library lacks";
    const char* problem = "no such operator";
    AllOps::each([&](auto tag) {
        using Op = typename decltype(tag)::type;
        if (std::strcmp(Op::name, given.op) != 0) return;
        problem = nullptr;
        if (given.input_count != Op::inputs) return void(problem = "the operator takes another number of inputs");
        if (given.attribute_count != attribute_count<Op>()) {
            return void(problem = "the operator takes another number of attributes");
        }
        std::array<Tensor, static_cast<size_t>(Op::inputs)> inputs;
        std::array<Shape<int64_t>, static_cast<size_t>(Op::inputs)> shapes;
        for (size_t i = 0; i < inputs.size(); ++i) {
            if (!read(given.inputs[i], inputs[i])) return void(problem = "an input's rank or size is out of range");
            shapes[i] = inputs[i].shape;
        }
        Call call{inputs.data(), {}, given.attributes};
        if ((problem = Op::problem(call, static_cast<DType>(given.dtype))) != nullptr) return;
        call.output.shape = Op::shape(shapes.data(), call.attributes);
        call.output.data = given.output->data;
        given.output->rank = call.output.shape.rank;
        for (int axis = 0; axis < 4; ++axis) given.output->dims[axis] = call.output.shape[axis];
        problem = run(tag, call);
    });
    return problem;
}

}  // namespace
}  // namespace detforge

extern "C" const char* detforge_op(int i) {
    const char* name = nullptr;
    detforge::AllOps::each([&](auto tag) {
        if (i-- == 0) name = decltype(tag)::type::name;
    });
    return name;
}

extern "C" const char* detforge_run_cpu(const char* op, int dtype, const detforge_tensor* inputs, int input_count,
                                        detforge_tensor* output, const int64_t* attributes, int attribute_count,
                                        int threads) {
    using namespace detforge;
    try {
        const Arguments given{op, dtype, inputs, input_count, output, attributes, attribute_count};
        return dispatch(given, DType::kHalf, [&](auto tag, const Call& call) -> const char* {
            Threads context(threads);
            if (call.output.data != nullptr) {
                run_cpu<typename decltype(tag)::type>(call, static_cast<DType>(dtype), context);
            }
            return nullptr;
        });
    } catch (const std::exception&) {
        return "out of memory or threads";
    }
}

#ifdef DETFORGE_CUDA
#include <cuda_runtime_api.h>

#include "preprocess/preprocess.h"

extern "C" const char* detforge_run_cuda(const char* op, int dtype, const detforge_tensor* inputs, int input_count,
                                         detforge_tensor* output, const int64_t* attributes, int attribute_count,
                                         void* workspace, size_t* workspace_bytes, void* stream) {
    using namespace detforge;
    const Arguments given{op, dtype, inputs, input_count, output, attributes, attribute_count};
    return dispatch(given, DType::kBFloat16, [&](auto tag, const Call& call) -> const char* {
        using Op = typename decltype(tag)::type;
        const size_t needed = Op::workspace(call, static_cast<DType>(dtype));
        const size_t given_bytes = *workspace_bytes;
        *workspace_bytes = needed;
        if (call.output.data == nullptr) return nullptr;
        if (needed > 0 && (workspace == nullptr || given_bytes < needed)) return "the workspace is too small";
        const int error = Op::cuda(call, static_cast<DType>(dtype), workspace, stream);
        return error == 0 ? nullptr : cudaGetErrorString(static_cast<cudaError_t>(error));
    });
}

extern "C" const char* detforge_preprocess_cuda(const detforge_picture* picture, int dtype, void* canvas,
                                                void* stream) {
    using namespace detforge;
    if (dtype < 0 || dtype > static_cast<int>(DType::kBFloat16)) return "a dtype that this library lacks";
    for (int axis = 0; axis < 2; ++axis) {
        if (picture->size[axis] < 1 || picture->resized[axis] < 1) return "a picture without pixels";
    }
    const int error = preprocess_cuda(*picture, static_cast<DType>(dtype), canvas, stream);
    return error == 0 ? nullptr : cudaGetErrorString(static_cast<cudaError_t>(error));
}
#endif
