// The functions of core/abi.h over the plugins of libdetforge_trt, which it drives as TensorRT does, without TensorRT.
//
// Beside the result it checks what TensorRT relies on: shapes that are right as expressions too, formats refused, and
// a plugin made again from its serialized fields, as an engine's runtime makes it. Without memory for the result all
// but enqueue happens, and nothing touches CUDA.
//
// HEADER is what declares TensorRT's interface, LOGGERS the namespace of the loggers in it.
#include <dlfcn.h>

#include HEADER

#include <algorithm>
#include <cstring>
#include <deque>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/abi.h"

namespace {

using namespace nvinfer1;

thread_local std::string logged;

struct Logger final : LOGGERS::ILogger {
    void log(Severity, const char* message) noexcept override { logged = message; }
};
struct Finder final : LOGGERS::ILoggerFinder {
    LOGGERS::ILogger* findLogger() override { return &logger; }
    Logger logger;
};

void expect(bool fine, const std::string& what) {
    if (!fine) throw std::runtime_error(logged.empty() ? what : what + ": " + logged);
}

// A dimension; a plugin cannot see the value of one that is not known.
class Expression final : public IDimensionExpr {
  public:
    Expression(int64_t value, bool known) : hidden_{value, known} { mImpl = &hidden_; }
    ~Expression() noexcept override = default;
    int64_t value() const { return hidden_.value; }

  private:
    struct Hidden final : apiv::VDimensionExpr {
        Hidden(int64_t value_, bool known_) : value(value_), known(known_) {}
        bool isConstant() const override { return known; }
        int64_t getConstantValue() const override { return known ? value : std::numeric_limits<int64_t>::min(); }
        bool isSizeTensor() const override { return false; }
        int64_t value;
        bool known;
    } hidden_;
};

class Builder final : public IExprBuilder {
  public:
    Builder() { mImpl = &made_; }
    ~Builder() noexcept override = default;
    const IDimensionExpr* dimension(int64_t value, bool known) { return &made_.expressions.emplace_back(value, known); }

  private:
    struct Made final : apiv::VExprBuilder {
        const IDimensionExpr* constant(int64_t value) override { return &expressions.emplace_back(value, true); }
        const IDimensionExpr* operation(DimensionOperation operation, const IDimensionExpr& first,
                                        const IDimensionExpr& second) override {
            if (operation != DimensionOperation::kFLOOR_DIV) return nullptr;  // all that shape rules use
            const int64_t a = static_cast<const Expression&>(first).value();
            const int64_t b = static_cast<const Expression&>(second).value();
            return &expressions.emplace_back(a / b, first.isConstant() && second.isConstant());
        }
        const IDimensionExpr* declareSizeTensor(int32_t, const IDimensionExpr&, const IDimensionExpr&) override {
            return nullptr;
        }
        std::deque<Expression> expressions;
    } made_;
};

std::vector<IPluginCreatorV3One*> creators;

void open(const char* library) {
    static Finder finder;
    void* const handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) throw std::runtime_error(dlerror());
    const auto get = reinterpret_cast<IPluginCreatorInterface* const* (*)(int32_t&)>(dlsym(handle, "getCreators"));
    const auto set = reinterpret_cast<void (*)(LOGGERS::ILoggerFinder*)>(dlsym(handle, "setLoggerFinder"));
    expect(get != nullptr && set != nullptr, "getCreators or setLoggerFinder is not exported");
    set(&finder);
    creators.clear();
    int32_t count = 0;
    IPluginCreatorInterface* const* const found = get(count);
    for (int32_t i = 0; i < count; ++i) {
        const bool is_one = std::strcmp(found[i]->getInterfaceInfo().kind, "PLUGIN CREATOR_V3ONE") == 0;
        expect(is_one, "a creator of another kind");
        creators.push_back(static_cast<IPluginCreatorV3One*>(found[i]));
        expect(std::strcmp(creators.back()->getPluginVersion(), "1") == 0, "another version");
        expect(std::strcmp(creators.back()->getPluginNamespace(), "detforge") == 0, "another namespace");
    }
}

IPluginCreatorV3One& creator_of(const char* op) {
    logged.clear();
    for (IPluginCreatorV3One* creator : creators) {
        if (std::strcmp(creator->getPluginName(), op) == 0) return *creator;
    }
    throw std::runtime_error("no such operator");
}

struct Plugin {
    Plugin(IPluginCreatorV3One& creator, const PluginFieldCollection& fields, TensorRTPhase phase)
        : Plugin(creator.createPlugin("node", &fields, phase)) {}
    explicit Plugin(IPluginV3* made) : plugin(made) {
        expect(plugin != nullptr, "no plugin was made");
        core = capability<IPluginV3OneCore>(PluginCapabilityType::kCORE, "PLUGIN_V3ONE_CORE");
        build = capability<IPluginV3OneBuild>(PluginCapabilityType::kBUILD, "PLUGIN_V3ONE_BUILD");
        runtime = capability<IPluginV3OneRuntime>(PluginCapabilityType::kRUNTIME, "PLUGIN_V3ONE_RUNTIME");
    }
    template <class Capability>
    Capability* capability(PluginCapabilityType type, const char* kind) const {
        auto* const found = static_cast<Capability*>(plugin->getCapabilityInterface(type));
        expect(found != nullptr && std::strcmp(found->getInterfaceInfo().kind, kind) == 0, kind);
        return found;
    }

    std::unique_ptr<IPluginV3> plugin;
    IPluginV3OneCore* core;
    IPluginV3OneBuild* build;
    IPluginV3OneRuntime* runtime;
};

Dims dims_of(const detforge_tensor& tensor) {
    Dims dims{};
    dims.nbDims = tensor.rank;
    std::copy(tensor.dims, tensor.dims + tensor.rank, dims.d);
    return dims;
}

DynamicPluginTensorDesc description_of(const Dims& dims, DataType type) {
    DynamicPluginTensorDesc description{};
    description.desc = {dims, type, TensorFormat::kLINEAR, -1.0f};
    description.min = description.opt = description.max = dims;
    return description;
}

Dims output_dims(IPluginV3OneBuild& build, const std::vector<Dims>& inputs, bool known) {
    Builder builder;
    std::vector<DimsExprs> given;
    for (const Dims& dims : inputs) {
        DimsExprs& expressions = given.emplace_back();
        expressions.nbDims = dims.nbDims;
        for (int i = 0; i < dims.nbDims; ++i) expressions.d[i] = builder.dimension(dims.d[i], known);
    }
    DimsExprs output{};
    const auto count = static_cast<int32_t>(given.size());
    expect(build.getOutputShapes(given.data(), count, nullptr, 0, &output, 1, builder) == 0, "getOutputShapes");
    Dims dims{};
    dims.nbDims = output.nbDims;
    for (int i = 0; i < dims.nbDims; ++i) dims.d[i] = static_cast<const Expression*>(output.d[i])->value();
    return dims;
}

void check_formats(IPluginV3OneBuild& build, std::vector<DynamicPluginTensorDesc> tensors, int32_t inputs) {
    for (size_t i = 0; i < tensors.size(); ++i) {
        const auto supports = [&](DataType type, TensorFormat format) {
            const PluginTensorDesc before = tensors[i].desc;
            tensors[i].desc.type = type;
            tensors[i].desc.format = format;
            const bool answer = build.supportsFormatCombination(static_cast<int32_t>(i), tensors.data(), inputs, 1);
            tensors[i].desc = before;
            return answer;
        };
        const DataType type = tensors[i].desc.type;
        const DataType other = type == DataType::kFLOAT ? DataType::kHALF : DataType::kFLOAT;
        expect(supports(type, TensorFormat::kLINEAR), "its own type is refused");
        expect(!supports(type, TensorFormat::kHWC8), "a format that is not linear is accepted");
        expect(!supports(DataType::kINT32, TensorFormat::kLINEAR), "integers are accepted");
        expect(i == 0 || !supports(other, TensorFormat::kLINEAR), "two types are accepted together");
    }
}

// The plugin's fields as an engine file holds them.
struct Serialized {
    explicit Serialized(const PluginFieldCollection& given) : fields(given.fields, given.fields + given.nbFields) {
        for (PluginField& field : fields) {
            expect(field.type == PluginFieldType::kINT32, "a field is not serialized as integers");
            const auto* values = static_cast<const int32_t*>(field.data);
            field.name = names.emplace_back(field.name).c_str();
            field.data = data.emplace_back(values, values + field.length).data();
        }
        collection = {given.nbFields, fields.data()};
    }
    std::vector<PluginField> fields;
    std::deque<std::string> names;
    std::deque<std::vector<int32_t>> data;
    PluginFieldCollection collection;
};

Plugin make(IPluginCreatorV3One& creator, const int64_t* attributes, int attribute_count) {
    const PluginFieldCollection& names = *creator.getFieldNames();
    std::vector<int32_t> values(attributes, attributes + attribute_count);
    std::vector<PluginField> fields(names.fields, names.fields + names.nbFields);
    size_t used = 0;
    for (PluginField& field : fields) {
        field.data = values.data() + used;
        used += static_cast<size_t>(field.length);
    }
    expect(used == values.size(), "the operator takes another number of attributes");
    return {creator, {names.nbFields, fields.data()}, TensorRTPhase::kBUILD};
}

void run(IPluginCreatorV3One& creator, int dtype, const detforge_tensor* inputs, int input_count,
         detforge_tensor* output, const int64_t* attributes, int attribute_count, void* workspace,
         size_t* workspace_bytes, cudaStream_t stream) {
    constexpr DataType kTypes[] = {DataType::kFLOAT, DataType::kHALF, DataType::kBF16};
    const Plugin built = make(creator, attributes, attribute_count);
    expect(std::strcmp(built.core->getPluginName(), creator.getPluginName()) == 0, "the plugin has another name");
    expect(built.build->getNbOutputs() == 1, "not one output");

    const DataType type = kTypes[dtype];
    std::vector<DynamicPluginTensorDesc> tensors;
    for (int i = 0; i < input_count; ++i) tensors.push_back(description_of(dims_of(inputs[i]), type));
    std::vector<DataType> types;
    for (int i = 0; i < input_count; ++i) {  // inputs that are float beside any type
        const auto place = static_cast<size_t>(i);
        const bool own = built.build->supportsFormatCombination(i, tensors.data(), input_count, 1);
        types.push_back(tensors[place].desc.type = own ? type : DataType::kFLOAT);
    }
    DataType output_type{};
    expect(built.build->getOutputDataTypes(&output_type, 1, types.data(), input_count) == 0, "getOutputDataTypes");
    expect(output_type == type, "the output has another type");

    std::vector<Dims> dims;
    std::transform(inputs, inputs + input_count, std::back_inserter(dims), dims_of);
    const Dims result = output_dims(*built.build, dims, true), unknown = output_dims(*built.build, dims, false);
    const bool same = result.nbDims == unknown.nbDims && std::equal(result.d, result.d + result.nbDims, unknown.d);
    expect(same, "the shape differs when dimensions are unknown");

    tensors.push_back(description_of(result, type));
    const DynamicPluginTensorDesc* const output_tensor = tensors.data() + input_count;
    check_formats(*built.build, tensors, input_count);
    expect(built.build->configurePlugin(tensors.data(), input_count, output_tensor, 1) == 0, "configurePlugin");
    const size_t needed = built.build->getWorkspaceSize(tensors.data(), input_count, output_tensor, 1);

    const Serialized fields(*built.runtime->getFieldsToSerialize());
    const Plugin loaded(creator, fields.collection, TensorRTPhase::kRUNTIME);
    const Plugin attached(loaded.runtime->attachToContext(nullptr));
    const std::string identity = built.build->getTimingCacheID();
    expect(identity == attached.build->getTimingCacheID(), "the plugin made again has other attributes");
    std::vector<PluginTensorDesc> descriptions;
    for (const DynamicPluginTensorDesc& tensor : tensors) descriptions.push_back(tensor.desc);
    const PluginTensorDesc* const output_description = descriptions.data() + input_count;
    expect(attached.runtime->onShapeChange(descriptions.data(), input_count, output_description, 1) == 0,
           "onShapeChange");

    output->rank = result.nbDims;
    std::copy(result.d, result.d + 4, output->dims);
    expect(output->data == nullptr || *workspace_bytes >= needed, "the workspace is too small");
    *workspace_bytes = needed;
    if (output->data == nullptr) return;
    std::vector<const void*> from;
    for (int i = 0; i < input_count; ++i) from.push_back(inputs[i].data);
    const int32_t failed = attached.runtime->enqueue(descriptions.data(), output_description, from.data(),
                                                     &output->data, workspace, stream);
    expect(failed == 0, "enqueue");
}

template <class Body>
const char* guarded(const Body& body) {
    static thread_local std::string problem;
    try {
        body();
        return nullptr;
    } catch (const std::exception& error) {
        problem = error.what();
        return problem.c_str();
    }
}

}  // namespace

// First of all: the library to drive.
extern "C" const char* harness_open(const char* library) {
    return guarded([&] { open(library); });
}

// Makes a plugin from these fields, right or wrong, in both phases.
extern "C" const char* harness_make(const char* op, const PluginField* fields, int count) {
    return guarded([&] {
        IPluginCreatorV3One& creator = creator_of(op);
        Plugin(creator, {count, fields}, TensorRTPhase::kBUILD);
        Plugin(creator, {count, fields}, TensorRTPhase::kRUNTIME);
    });
}

extern "C" const char* detforge_op(int i) {
    return i < static_cast<int>(creators.size()) ? creators[static_cast<size_t>(i)]->getPluginName() : nullptr;
}

extern "C" const char* detforge_run_cuda(const char* op, int dtype, const detforge_tensor* inputs, int input_count,
                                         detforge_tensor* output, const int64_t* attributes, int attribute_count,
                                         void* workspace, size_t* workspace_bytes, void* stream) {
    return guarded([&] {
        run(creator_of(op), dtype, inputs, input_count, output, attributes, attribute_count, workspace,
            workspace_bytes, static_cast<cudaStream_t>(stream));
    });
}

// Tells the shape of the result; plugins do not run on the CPU.
extern "C" const char* detforge_run_cpu(const char* op, int dtype, const detforge_tensor* inputs, int input_count,
                                        detforge_tensor* output, const int64_t* attributes, int attribute_count, int) {
    return guarded([&] {
        expect(output->data == nullptr, "plugins do not run on the CPU");
        size_t workspace_bytes = 0;
        run(creator_of(op), dtype, inputs, input_count, output, attributes, attribute_count, nullptr,
            &workspace_bytes, nullptr);
    });
}
