// The operators in ONNX Runtime: libdetforge_ort for its CPU provider, and with DETFORGE_CUDA libdetforge_ort_cuda.
//
// One custom op per trait and dtype, all of a name registered together: a model then finds the kernel of its type.
// Nothing of ONNX Runtime is linked; its functions come through the table that RegisterCustomOps receives.

#include "ort_api.h"

#include <deque>
#include <limits>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "abi.h"
#include "ops.h"  // made by CMake: every folder's kernel.h, and AllOps
#include "ort_calls.h"
#include "run.h"

#ifdef DETFORGE_CUDA
#include <cuda_runtime_api.h>
#endif

namespace detforge {
namespace {

using namespace ort;

constexpr ONNXTensorElementDataType onnx_type(DType dtype) {
    return dtype == DType::kFloat  ? ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT
           : dtype == DType::kHalf ? ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16
                                   : ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16;
}

// Calls a function that may throw, at a boundary that may not.
template <class Body>
OrtStatus* guarded(const OrtApi* api, const char* op, const Body& body) {
    try {
        body();
        return nullptr;
    } catch (const std::exception& error) {
        return CreateStatus(api, ORT_FAIL, (std::string(op) + ": " + error.what()).c_str());
    }
}

// One run of a kernel, and where its memory comes from.
struct Run {
    const OrtApi* api;
    OrtKernelContext* context;
    const OrtMemoryInfo* where;
};

// Memory of ONNX Runtime's own arena, given back when the call ends.
class Memory {
  public:
    explicit Memory(const Run& run) : run_(run), allocator_(run.api) {
        invoke(run.api, KernelContext_GetAllocator, run.context, run.where, allocator_.out());
    }
    Memory(const Memory&) = delete;
    ~Memory() {
        for (void* block : blocks_) allocator_.get()->Free(allocator_.get(), block);
    }

    void* allocate(size_t bytes) {
        blocks_.push_back(nullptr);
        blocks_.back() = block(bytes == 0 ? 1 : bytes);
        if (blocks_.back() == nullptr) throw std::bad_alloc();
        return blocks_.back();
    }

  private:
    void* block(size_t bytes) {
#ifdef DETFORGE_CUDA
        // Bound to the stream of this run: a run on another stream gets the block only after our kernel is done.
        void* made = nullptr;
        invoke(run_.api, KernelContext_GetScratchBuffer, run_.context, run_.where, bytes, &made);
        return made;
#else
        return allocator_.get()->Alloc(allocator_.get(), bytes);
#endif
    }

    const Run& run_;
    Owned<OrtAllocator, ReleaseAllocator> allocator_;
    std::deque<void*> blocks_;
};

#ifdef DETFORGE_CUDA
constexpr const char* kProvider = "CUDAExecutionProvider";

// Describes the memory of the current device.
void describe_memory(const OrtApi* api, OrtMemoryInfo** out) {
    int device = 0;
    cudaGetDevice(&device);
    invoke(api, CreateMemoryInfo, "Cuda", OrtDeviceAllocator, device, OrtMemTypeDefault, out);
}

template <class Op>
void execute(const Run& run, const Call& call, DType dtype) {
    Memory memory(run);
    const size_t bytes = Op::workspace(call, dtype);
    void* workspace = bytes == 0 ? nullptr : memory.allocate(bytes);
    void* stream = nullptr;
    invoke(run.api, KernelContext_GetGPUComputeStream, run.context, &stream);
    const int error = Op::cuda(call, dtype, workspace, stream);
    if (error != 0) throw std::runtime_error(cudaGetErrorString(static_cast<cudaError_t>(error)));
}
#else
constexpr const char* kProvider = nullptr;  // the CPU's

void describe_memory(const OrtApi* api, OrtMemoryInfo** out) {
    invoke(api, CreateMemoryInfo, "Cpu", OrtArenaAllocator, 0, OrtMemTypeDefault, out);
}

// Lends ONNX Runtime's thread pool and arena to a kernel.
class Host final : public Context {
  public:
    explicit Host(const Run& run) : run_(run), memory_(run) {}

    void* allocate(size_t bytes) override { return memory_.allocate(bytes); }
    // The pool does not tell its size; no process has more threads to run on than this.
    int threads() const override { return static_cast<int>(std::thread::hardware_concurrency()); }

  private:
    void run(void (*body)(void*, size_t), size_t count, void* data) override {
        if (count > 0) invoke(run_.api, KernelContext_ParallelFor, run_.context, body, count, size_t{0}, data);
    }

    const Run& run_;
    Memory memory_;
};

template <class Op>
void execute(const Run& run, const Call& call, DType dtype) {
    Host host(run);
    run_cpu<Op>(call, dtype, host);
}
#endif

Tensor read(const OrtApi* api, OrtValue* value) {
    Owned<OrtTensorTypeAndShapeInfo, ReleaseTensorTypeAndShapeInfo> info(api);
    invoke(api, GetTensorTypeAndShape, value, info.out());
    size_t rank = 0;
    invoke(api, GetDimensionsCount, info.get(), &rank);
    Tensor tensor;
    if (rank > tensor.shape.dims.size()) throw std::runtime_error("an input has more than four axes");
    tensor.shape.rank = static_cast<int>(rank);
    invoke(api, GetDimensions, info.get(), tensor.shape.dims.data(), rank);
    invoke(api, GetTensorMutableData, value, &tensor.data);
    return tensor;
}

// The values of an attribute are added to `values`.
void read(const OrtApi* api, const OrtKernelInfo* info, const Field& field, std::vector<int64_t>& values) {
    size_t count = static_cast<size_t>(field.count);
    values.resize(values.size() + count);
    int64_t* first = &values[values.size() - count];
    if (field.count == 1) return invoke(api, KernelInfoGetAttribute_int64, info, field.name, first);
    invoke(api, KernelInfoGetAttributeArray_int64, info, field.name, first, &count);
    if (count != static_cast<size_t>(field.count)) {
        throw std::runtime_error(std::string("attribute ") + field.name + " has another length");
    }
}

template <class Op, DType kDType>
class Kernel {
  public:
    Kernel(const OrtApi* api, const OrtKernelInfo* info) : api_(api), where_(api) {
        describe_memory(api, where_.out());
        for (const Field& field : Op::fields) read(api, info, field, attributes_);
    }

    OrtStatus* compute(OrtKernelContext* context) const {
        return guarded(api_, Op::name, [&] {
            std::array<Tensor, static_cast<size_t>(Op::inputs)> inputs;
            std::array<Shape<int64_t>, static_cast<size_t>(Op::inputs)> shapes;
            for (size_t i = 0; i < inputs.size(); ++i) {
                const OrtValue* value = nullptr;
                invoke(api_, KernelContext_GetInput, context, i, &value);
                inputs[i] = read(api_, const_cast<OrtValue*>(value));  // its data are asked for as if to be changed
                shapes[i] = inputs[i].shape;
            }
            Call call{inputs.data(), {}, attributes_.data()};
            if (const char* problem = Op::problem(call, kDType)) throw std::runtime_error(problem);
            call.output.shape = Op::shape(shapes.data(), call.attributes);
            call.output.data = output(context, call.output.shape);
            execute<Op>({api_, context, where_.get()}, call, kDType);
        });
    }

  private:
    void* output(OrtKernelContext* context, const Shape<int64_t>& shape) const {
        OrtValue* value = nullptr;
        const int64_t* dims = shape.dims.data();
        invoke(api_, KernelContext_GetOutput, context, size_t{0}, dims, static_cast<size_t>(shape.rank), &value);
        void* data = nullptr;
        invoke(api_, GetTensorMutableData, value, &data);
        return data;
    }

    const OrtApi* api_;
    Owned<OrtMemoryInfo, ReleaseMemoryInfo> where_;
    std::vector<int64_t> attributes_;
};

template <class Op, DType kDType>
OrtCustomOp make_custom_op() {
    using OpKernel = Kernel<Op, kDType>;
    OrtCustomOp op{};
    op.version = kApiVersion;
    op.GetName = [](auto) { return Op::name; };
    op.GetExecutionProviderType = [](auto) { return kProvider; };
    op.GetInputTypeCount = [](auto) { return static_cast<size_t>(Op::inputs); };
    op.GetInputType = [](auto, size_t i) { return onnx_type(input_dtype<Op>(kDType, i)); };
    op.GetInputCharacteristic = [](auto, size_t) { return INPUT_OUTPUT_REQUIRED; };
    op.GetInputMemoryType = [](auto, size_t) { return OrtMemTypeDefault; };
    op.GetOutputTypeCount = [](auto) { return size_t{1}; };
    op.GetOutputType = [](auto, size_t) { return onnx_type(kDType); };
    op.GetOutputCharacteristic = [](auto, size_t) { return INPUT_OUTPUT_REQUIRED; };
    op.GetStartVersion = [](auto) { return 1; };
    op.GetEndVersion = [](auto) { return std::numeric_limits<int>::max(); };
    op.CreateKernelV2 = [](auto, const OrtApi* api, const OrtKernelInfo* info, void** kernel) {
        return guarded(api, Op::name, [&] { *kernel = new OpKernel(api, info); });
    };
    op.KernelComputeV2 = [](void* kernel, OrtKernelContext* context) {
        return static_cast<const OpKernel*>(kernel)->compute(context);
    };
    op.KernelDestroy = [](void* kernel) { delete static_cast<OpKernel*>(kernel); };
    return op;
}

// ONNX Runtime keeps pointers to the ops for as long as any session lives.
template <class Op, DType kDType>
const OrtCustomOp* lasting() {
    static const OrtCustomOp op = make_custom_op<Op, kDType>();
    return &op;
}

template <DType... kDTypes>
OrtCustomOpDomain* make_domain(const OrtApi* api) {
    OrtCustomOpDomain* domain = nullptr;
    invoke(api, CreateCustomOpDomain, kDomain, &domain);
    AllOps::each([&](auto tag) {
        (invoke(api, CustomOpDomain_Add, domain, lasting<typename decltype(tag)::type, kDTypes>()), ...);
    });
    return domain;
}

}  // namespace
}  // namespace detforge

extern "C" DETFORGE_API OrtStatus* RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base) {
    using namespace detforge;
    const OrtApi* api = base->GetApi(kApiVersion);
    if (api == nullptr) {
        const std::string problem = "detforge's operators need ONNX Runtime 1." + std::to_string(kApiVersion) +
                                    " or newer, this is " + base->GetVersionString();
        return CreateStatus(base->GetApi(1), ORT_FAIL, problem.c_str());
    }
    return guarded(api, "detforge", [&] {
        // Sessions share the domain, which lives as long as the process.
#ifdef DETFORGE_CUDA
        static OrtCustomOpDomain* const domain = make_domain<DType::kFloat, DType::kHalf, DType::kBFloat16>(api);
#else
        static OrtCustomOpDomain* const domain = make_domain<DType::kFloat, DType::kHalf>(api);
#endif
        invoke(api, AddCustomOpDomain, options, domain);
    });
}
