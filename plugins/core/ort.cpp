// The operators in ONNX Runtime: libdetforge_ort for its CPU provider, and with DETFORGE_CUDA libdetforge_ort_cuda.
//
// One custom op per trait and dtype, all of a name registered together: a model then finds the kernel of its type.
// Nothing of ONNX Runtime is linked; its functions come through the table that RegisterCustomOps receives.

#define ORT_API_MANUAL_INIT
#include <onnxruntime_cxx_api.h>

#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "abi.h"
#include "ops.h"  // made by CMake: every folder's kernel.h, and AllOps
#include "run.h"

#ifdef DETFORGE_CUDA
#include <cuda_runtime_api.h>
#endif

namespace detforge {
namespace {

constexpr ONNXTensorElementDataType onnx_type(DType dtype) {
    return dtype == DType::kFloat  ? ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT
           : dtype == DType::kHalf ? ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16
                                   : ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16;
}

// Memory of ONNX Runtime's own arena, given back when the call ends.
class Memory {
  public:
    Memory(const Ort::KernelContext& context, const OrtMemoryInfo* where)
        : allocator_(context.GetAllocator(*where)) {}
    Memory(const Memory&) = delete;
    ~Memory() {
        for (void* block : blocks_) allocator_->Free(allocator_.get(), block);
    }

    void* allocate(size_t bytes) {
        blocks_.push_back(nullptr);
        blocks_.back() = allocator_->Alloc(allocator_.get(), bytes == 0 ? 1 : bytes);
        if (blocks_.back() == nullptr) throw std::bad_alloc();
        return blocks_.back();
    }

  private:
    struct Release {
        void operator()(OrtAllocator* allocator) const { Ort::GetApi().ReleaseAllocator(allocator); }
    };

    std::unique_ptr<OrtAllocator, Release> allocator_;  // of this call alone
    std::deque<void*> blocks_;
};

#ifdef DETFORGE_CUDA
constexpr const char* kProvider = "CUDAExecutionProvider";

template <class Op>
void run(const Ort::KernelContext& context, const Call& call, DType dtype, int device) {
    Memory memory(context, Ort::MemoryInfo("Cuda", OrtDeviceAllocator, device, OrtMemTypeDefault));
    const size_t bytes = Op::workspace(call, dtype);
    void* workspace = bytes == 0 ? nullptr : memory.allocate(bytes);
    const int error = Op::cuda(call, dtype, workspace, context.GetGPUComputeStream());
    if (error != 0) throw std::runtime_error(cudaGetErrorString(static_cast<cudaError_t>(error)));
}

int current_device() {
    int device = 0;
    cudaGetDevice(&device);
    return device;
}
#else
constexpr const char* kProvider = nullptr;  // the CPU's

// Lends ONNX Runtime's thread pool and arena to a kernel.
class Host final : public Context {
  public:
    explicit Host(const Ort::KernelContext& context)
        : context_(context), memory_(context, Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault)) {}

    void* allocate(size_t bytes) override { return memory_.allocate(bytes); }
    // The pool does not tell its size; no process has more threads to run on than this.
    int threads() const override { return static_cast<int>(std::thread::hardware_concurrency()); }

  private:
    void run(void (*body)(void*, size_t), size_t count, void* data) override {
        if (count > 0) context_.ParallelFor(body, count, 0, data);
    }

    const Ort::KernelContext& context_;
    Memory memory_;
};

template <class Op>
void run(const Ort::KernelContext& context, const Call& call, DType dtype, int) {
    Host host(context);
    run_cpu<Op>(call, dtype, host);
}

int current_device() { return 0; }
#endif

// Calls a function that may throw, at a boundary that may not.
template <class Body>
OrtStatusPtr guarded(const char* op, const Body& body) {
    try {
        body();
        return nullptr;
    } catch (const std::exception& error) {
        return Ort::Status((std::string(op) + ": " + error.what()).c_str(), ORT_FAIL).release();
    }
}

template <class Op, DType kDType>
class Kernel {
  public:
    explicit Kernel(const OrtKernelInfo* info) : device_(current_device()) {
        for (const Field& field : Op::fields) {
            const Ort::ConstKernelInfo node(info);
            std::vector<int64_t> values;
            if (field.count == 1) {
                values.push_back(node.template GetAttribute<int64_t>(field.name));
            } else {
                values = node.template GetAttributes<int64_t>(field.name);
            }
            if (values.size() != static_cast<size_t>(field.count)) {
                throw std::runtime_error(std::string("attribute ") + field.name + " has another length");
            }
            attributes_.insert(attributes_.end(), values.begin(), values.end());
        }
    }

    OrtStatusPtr ComputeV2(OrtKernelContext* given) const {
        return guarded(Op::name, [&] {
            const Ort::KernelContext context(given);
            std::array<Tensor, static_cast<size_t>(Op::inputs)> inputs;
            std::array<Shape<int64_t>, static_cast<size_t>(Op::inputs)> shapes;
            for (size_t i = 0; i < inputs.size(); ++i) {
                inputs[i] = read(context.GetInput(i));
                shapes[i] = inputs[i].shape;
            }
            Call call{inputs.data(), {}, attributes_.data()};
            if (const char* problem = Op::problem(call)) throw std::runtime_error(problem);
            Shape<int64_t>& shape = call.output.shape = Op::shape(shapes.data());
            auto output = context.GetOutput(0, shape.dims.data(), static_cast<size_t>(shape.rank));
            call.output.data = output.GetTensorMutableRawData();
            run<Op>(context, call, kDType, device_);
        });
    }

  private:
    static Tensor read(const Ort::ConstValue& value) {
        const std::vector<int64_t> dims = value.GetTensorTypeAndShapeInfo().GetShape();
        if (dims.size() > 4) throw std::runtime_error("an input has more than four axes");
        Tensor tensor;
        tensor.data = const_cast<void*>(value.GetTensorRawData());
        tensor.shape.rank = static_cast<int>(dims.size());
        std::copy(dims.begin(), dims.end(), tensor.shape.dims.begin());
        return tensor;
    }

    std::vector<int64_t> attributes_;
    int device_;
};

template <class Op, DType kDType>
struct CustomOp : Ort::CustomOpBase<CustomOp<Op, kDType>, Kernel<Op, kDType>, true> {
    OrtStatusPtr CreateKernelV2(const OrtApi&, const OrtKernelInfo* info, void** kernel) const {
        return guarded(Op::name, [&] { *kernel = new Kernel<Op, kDType>(info); });
    }
    const char* GetName() const { return Op::name; }
    const char* GetExecutionProviderType() const { return kProvider; }
    size_t GetInputTypeCount() const { return static_cast<size_t>(Op::inputs); }
    ONNXTensorElementDataType GetInputType(size_t) const { return onnx_type(kDType); }
    size_t GetOutputTypeCount() const { return 1; }
    ONNXTensorElementDataType GetOutputType(size_t) const { return onnx_type(kDType); }
};

// ONNX Runtime keeps pointers to the ops for as long as any session lives.
template <class Op, DType kDType>
const OrtCustomOp* lasting() {
    static const CustomOp<Op, kDType> op;
    return &op;
}

template <DType... kDTypes>
Ort::CustomOpDomain make_domain() {
    Ort::CustomOpDomain domain(kDomain);
    AllOps::each([&](auto tag) { (domain.Add(lasting<typename decltype(tag)::type, kDTypes>()), ...); });
    return domain;
}

}  // namespace
}  // namespace detforge

extern "C" DETFORGE_API OrtStatus* ORT_API_CALL RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base) {
    const OrtApi* api = base->GetApi(ORT_API_VERSION);
    if (api == nullptr) {
        const std::string problem = std::string("detforge's operators need ONNX Runtime 1.") +
                                    std::to_string(ORT_API_VERSION) + " or newer, this is " + base->GetVersionString();
        return base->GetApi(1)->CreateStatus(ORT_FAIL, problem.c_str());
    }
    Ort::InitApi(api);
    return detforge::guarded("detforge", [&] {
        using detforge::DType;
        // Sessions share the domain, which lives as long as the process.
#ifdef DETFORGE_CUDA
        static const Ort::CustomOpDomain domain =
            detforge::make_domain<DType::kFloat, DType::kHalf, DType::kBFloat16>();
#else
        static const Ort::CustomOpDomain domain = detforge::make_domain<DType::kFloat, DType::kHalf>();
#endif
        Ort::UnownedSessionOptions(options).Add(domain);
    });
}
