#include "session.h"

#include <dlfcn.h>

#include <cstdlib>
#include <mutex>
#include <stdexcept>
#include <thread>

extern "C" OrtStatus* RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base);  // plugins/core/ort.cpp

namespace detforge {

using namespace ort;

namespace {

#ifdef __APPLE__
constexpr const char* kUsual[] = {"libonnxruntime.dylib"};
#else
constexpr const char* kUsual[] = {"libonnxruntime.so.1", "libonnxruntime.so"};
#endif

// ONNX Runtime's library, which stays open until the process ends.
struct Runtime {
    void* library = nullptr;
    const OrtApiBase* base = nullptr;
    const OrtApi* api = nullptr;
    OrtEnv* env = nullptr;
};

void* open_library(const char* named) {
    if (named != nullptr && *named != '\0') {
        void* library = dlopen(named, RTLD_NOW | RTLD_LOCAL);
        if (library == nullptr) throw std::runtime_error(std::string("ONNX Runtime cannot be loaded; ") + dlerror());
        return library;
    }
    for (const char* name : kUsual) {
        if (void* library = dlopen(name, RTLD_NOW | RTLD_LOCAL)) return library;
    }
    throw std::runtime_error(std::string("ONNX Runtime is not found; give the path of ") + kUsual[0] + ", or set DETFORGE_ONNXRUNTIME to it");
}

const Runtime& runtime_of(const char* named) {
    static std::mutex mutex;
    static Runtime runtime;
    const std::lock_guard<std::mutex> lock(mutex);
    void* library = open_library(named != nullptr ? named : std::getenv("DETFORGE_ONNXRUNTIME"));
    if (runtime.env != nullptr) {
        // The operators belong to the runtime that they were registered with first.
        if (library != runtime.library) throw std::runtime_error("this process already uses another ONNX Runtime; give the same one");
        return runtime;
    }
    using GetBase = const OrtApiBase*();
    const auto get_base = reinterpret_cast<GetBase*>(dlsym(library, "OrtGetApiBase"));
    if (get_base == nullptr) throw std::runtime_error("the library given as ONNX Runtime is another one; it lacks OrtGetApiBase");
    Runtime opened{library, get_base(), nullptr, nullptr};
    opened.api = opened.base->GetApi(kApiVersion);
    if (opened.api == nullptr) {
        throw std::runtime_error(std::string("ONNX Runtime ") + opened.base->GetVersionString() + " is too old; install 1." +
                                 std::to_string(kApiVersion) + " or newer");
    }
    invoke(opened.api, CreateEnv, ORT_LOGGING_LEVEL_FATAL, "detforge", &opened.env);
    runtime = opened;
    return runtime;
}

// A text that ONNX Runtime allocated; empty if it is null.
std::string taken(OrtAllocator* allocator, char* text) {
    if (text == nullptr) return "";
    const std::string copy = text;
    allocator->Free(allocator, text);
    return copy;
}

Port read_port(const OrtApi* api, const OrtTensorTypeAndShapeInfo* info) {
    Port port{};
    size_t rank = 0;
    invoke(api, GetTensorElementType, info, &port.type);
    invoke(api, GetDimensionsCount, info, &rank);
    port.shape.resize(rank);
    invoke(api, GetDimensions, info, port.shape.data(), rank);
    return port;
}

template <class Count, class Name, class Info>
std::map<std::string, Port> read_ports(const OrtApi* api, const OrtSession* session, Count count, Name name, Info type) {
    std::map<std::string, Port> ports;
    OrtAllocator* allocator = nullptr;
    invoke(api, GetAllocatorWithDefaultOptions, &allocator);
    size_t all = 0;
    invoke(api, count, session, &all);
    for (size_t i = 0; i < all; ++i) {
        char* text = nullptr;
        invoke(api, name, session, i, allocator, &text);
        const std::string own = taken(allocator, text);
        Owned<OrtTypeInfo, ReleaseTypeInfo> info(api);
        invoke(api, type, session, i, info.out());
        const OrtTensorTypeAndShapeInfo* tensor = nullptr;
        invoke(api, CastTypeInfoToTensorInfo, info.get(), &tensor);
        if (tensor != nullptr) ports[own] = read_port(api, tensor);
    }
    return ports;
}

}  // namespace

Port Tensor::port() const {
    Owned<OrtTensorTypeAndShapeInfo, ReleaseTensorTypeAndShapeInfo> info(api_);
    invoke(api_, GetTensorTypeAndShape, value_, info.out());
    return read_port(api_, info.get());
}

void* Tensor::data() const {
    void* data = nullptr;
    invoke(api_, GetTensorMutableData, value_, &data);
    return data;
}

// The options are those of deploy/backends/ort.py.
Session::Session(const std::string& path, const char* named, int threads) {
    const Runtime& runtime = runtime_of(named);
    api_ = runtime.api;
    Owned<OrtSessionOptions, ReleaseSessionOptions> options(api_);
    invoke(api_, CreateSessionOptions, options.out());
    invoke(api_, SetSessionLogSeverityLevel, options.get(), static_cast<int>(ORT_LOGGING_LEVEL_FATAL));
    const int all = static_cast<int>(std::thread::hardware_concurrency());
    invoke(api_, SetIntraOpNumThreads, options.get(), threads > 0 ? threads : all > 0 ? all : 1);
    invoke(api_, SetInterOpNumThreads, options.get(), 1);
    invoke(api_, AddSessionConfigEntry, options.get(), "optimization.disable_specified_optimizers",
           "QDQPropagationTransformer;WeightBiasQuantization");
    const auto with_kernels = [&](const OrtApi*, OrtSessionOptions* own) { return RegisterCustomOps(own, runtime.base); };
    invoke(api_, with_kernels, options.get());
    try {
        invoke(api_, CreateSession, runtime.env, path.c_str(), options.get(), &session_);
    } catch (const std::runtime_error& error) {
        throw std::runtime_error(std::string("not a model that ONNX Runtime can open; ") + error.what() + "; export one with detexport");
    }
    try {
        inputs_ = read_ports(api_, session_, SessionGetInputCount, SessionGetInputName, SessionGetInputTypeInfo);
        outputs_ = read_ports(api_, session_, SessionGetOutputCount, SessionGetOutputName, SessionGetOutputTypeInfo);
    } catch (...) {
        ReleaseSession(api_, session_);
        throw;
    }
}

Session::~Session() { ReleaseSession(api_, session_); }

std::string Session::metadata(const char* key) const {
    Owned<OrtModelMetadata, ReleaseModelMetadata> metadata(api_);
    OrtAllocator* allocator = nullptr;
    char* value = nullptr;
    invoke(api_, GetAllocatorWithDefaultOptions, &allocator);
    invoke(api_, SessionGetModelMetadata, session_, metadata.out());
    invoke(api_, ModelMetadataLookupCustomMetadataMap, metadata.get(), allocator, key, &value);
    return taken(allocator, value);
}

Tensor Session::tensor(void* data, size_t bytes, const std::vector<int64_t>& shape, ONNXTensorElementDataType type) const {
    Owned<OrtMemoryInfo, ReleaseMemoryInfo> where(api_);
    invoke(api_, CreateCpuMemoryInfo, OrtArenaAllocator, OrtMemTypeDefault, where.out());
    OrtValue* value = nullptr;
    invoke(api_, CreateTensorWithDataAsOrtValue, where.get(), data, bytes, shape.data(), shape.size(), type, &value);
    return {api_, value};
}

std::vector<Tensor> Session::run(const std::vector<std::string>& input_names, const std::vector<Tensor>& inputs,
                                 const std::vector<std::string>& output_names) const {
    std::vector<const char*> in_names, out_names;
    std::vector<const OrtValue*> in_values;
    for (const std::string& name : input_names) in_names.push_back(name.c_str());
    for (const std::string& name : output_names) out_names.push_back(name.c_str());
    for (const Tensor& tensor : inputs) in_values.push_back(tensor.value());
    std::vector<OrtValue*> values(output_names.size(), nullptr);
    const OrtRunOptions* no_options = nullptr;
    invoke(api_, Run, session_, no_options, in_names.data(), in_values.data(), in_values.size(), out_names.data(),
           out_names.size(), values.data());
    std::vector<Tensor> outputs;
    outputs.reserve(values.size());
    for (OrtValue* value : values) outputs.emplace_back(api_, value);
    return outputs;
}

}  // namespace detforge
