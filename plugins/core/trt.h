// A trait as a TensorRT plugin: Plugin<Op>, made by Creator<Op>.
//
// TensorRT's questions, in its order. To build an engine: createPlugin, getOutputDataTypes, getOutputShapes,
// supportsFormatCombination, configurePlugin, getWorkspaceSize, getFieldsToSerialize. To run it: createPlugin from
// those fields, attachToContext, onShapeChange, enqueue. Only enqueue touches CUDA: engines are built without a GPU.
//
// No exception leaves a method: it is reported through TensorRT's logger, and the method returns that it failed.
#pragma once

#include <algorithm>
#include <stdexcept>
#include <string>

#include "op.h"
#include "trt_api.h"

namespace detforge {

namespace trt = nvinfer1;

void report(const char* op, const char* problem) noexcept;

template <class Op, class Body>
bool guarded(const Body& body) noexcept {
    try {
        body();
        return true;
    } catch (const std::exception& error) {
        report(Op::name, error.what());
        return false;
    }
}

// Reads an attribute's integers; throws when the field is missing or is not such an attribute.
void read_field(const trt::PluginFieldCollection* given, const Field& field, int32_t* values);

void check_count(int count, int expected);
void check_types(const trt::DataType* types, int count, unsigned float_inputs);  // one for all others, that we have
bool supported(trt::DataType type);
DType dtype_of(trt::DataType type);

Tensor tensor_of(const trt::Dims& dims);  // without data; throws when there are more than four axes
[[noreturn]] void refuse(const char* problem, const Tensor* inputs, int count);

// A dimension in a shape rule: TensorRT's expression, or a number where the expression is null.
class Dim {
  public:
    Dim(int64_t number = 0) : number_(number) {}
    Dim(const trt::IDimensionExpr* expression, trt::IExprBuilder& builder)
        : expression_(expression), builder_(&builder) {}

    Dim operator/(int64_t divisor) const {
        if (expression_ == nullptr) return number_ / divisor;
        return {builder_->operation(trt::DimensionOperation::kFLOOR_DIV, *expression_, *builder_->constant(divisor)),
                *builder_};
    }
    const trt::IDimensionExpr* expression(trt::IExprBuilder& builder) const {
        return expression_ != nullptr ? expression_ : builder.constant(number_);
    }

  private:
    const trt::IDimensionExpr* expression_ = nullptr;
    trt::IExprBuilder* builder_ = nullptr;
    int64_t number_ = 0;
};

template <class Op>
class Plugin final : public trt::IPluginV3,
                     public trt::IPluginV3OneCore,
                     public trt::IPluginV3OneBuild,
                     public trt::IPluginV3OneRuntime {
  public:
    using Attributes = std::array<int32_t, static_cast<size_t>(attribute_count<Op>())>;

    explicit Plugin(const Attributes& attributes) : stored_(attributes) {
        std::copy(stored_.begin(), stored_.end(), attributes_.begin());
        const int32_t* values = stored_.data();
        auto serialized = fields_.begin();
        for (const Field& field : Op::fields) {
            *serialized++ = {field.name, values, trt::PluginFieldType::kINT32, field.count};
            values += field.count;
        }
        collection_ = {static_cast<int32_t>(fields_.size()), fields_.data()};
        for (int32_t value : stored_) identity_ += '/' + std::to_string(value);
    }

    trt::IPluginCapability* getCapabilityInterface(trt::PluginCapabilityType type) noexcept override {
        switch (type) {
            case trt::PluginCapabilityType::kCORE: return static_cast<trt::IPluginV3OneCore*>(this);
            case trt::PluginCapabilityType::kBUILD: return static_cast<trt::IPluginV3OneBuild*>(this);
            case trt::PluginCapabilityType::kRUNTIME: return static_cast<trt::IPluginV3OneRuntime*>(this);
        }
        return nullptr;
    }
    trt::IPluginV3* clone() noexcept override {
        trt::IPluginV3* made = nullptr;
        guarded<Op>([&] { made = new Plugin(stored_); });
        return made;
    }

    const char* getPluginName() const noexcept override { return Op::name; }
    const char* getPluginVersion() const noexcept override { return kVersion; }
    const char* getPluginNamespace() const noexcept override { return kDomain; }

    int32_t getNbOutputs() const noexcept override { return 1; }

    int32_t getOutputDataTypes(trt::DataType* outputs, int32_t, const trt::DataType* inputs,
                               int32_t count) const noexcept override {
        return result([&] {
            check_count(count, Op::inputs);
            check_types(inputs, count, FloatInputs<Op>::value);
            outputs[0] = inputs[0];
        });
    }

    int32_t getOutputShapes(const trt::DimsExprs* inputs, int32_t count, const trt::DimsExprs*, int32_t,
                            trt::DimsExprs* outputs, int32_t, trt::IExprBuilder& builder) noexcept override {
        return result([&] {
            check_count(count, Op::inputs);
            std::array<Shape<Dim>, kInputs> shapes;
            std::array<trt::Dims, kInputs> known;
            bool all_known = true;
            for (size_t i = 0; i < kInputs; ++i) {
                shapes[i].rank = known[i].nbDims = inputs[i].nbDims;
                for (int axis = 0; axis < inputs[i].nbDims; ++axis) {
                    const trt::IDimensionExpr* dim = inputs[i].d[axis];
                    all_known = all_known && dim->isConstant();
                    known[i].d[axis] = dim->getConstantValue();
                    if (axis < 4) shapes[i][axis] = {dim, builder};
                }
            }
            if (all_known) Request(*this, [&](size_t i) { return known[i]; }, DType::kFloat);  // it is not told yet
            const Shape<Dim> shape = Op::shape(shapes.data(), attributes_.data());
            outputs[0].nbDims = shape.rank;
            for (int axis = 0; axis < shape.rank; ++axis) outputs[0].d[axis] = shape[axis].expression(builder);
        });
    }

    bool supportsFormatCombination(int32_t position, const trt::DynamicPluginTensorDesc* tensors, int32_t,
                                   int32_t) noexcept override {
        const trt::PluginTensorDesc& tensor = tensors[position].desc;
        const bool is_float = position < Op::inputs && (FloatInputs<Op>::value >> position & 1u) != 0;
        const trt::DataType expected = is_float ? trt::DataType::kFLOAT : tensors[0].desc.type;
        return tensor.format == trt::TensorFormat::kLINEAR && supported(tensor.type) &&
               tensor.type == expected;
    }

    // The least and the largest shapes are bounds, each dimension's own; only the optimal ones occur together.
    int32_t configurePlugin(const trt::DynamicPluginTensorDesc* inputs, int32_t count,
                            const trt::DynamicPluginTensorDesc*, int32_t) noexcept override {
        return result([&] {
            check_count(count, Op::inputs);
            Request(*this, [&](size_t i) { return inputs[i].opt; }, dtype_of(inputs[0].desc.type));
        });
    }

    size_t getWorkspaceSize(const trt::DynamicPluginTensorDesc* inputs, int32_t, const trt::DynamicPluginTensorDesc*,
                            int32_t) const noexcept override {
        size_t bytes = 0;
        guarded<Op>([&] {
            const DType dtype = dtype_of(inputs[0].desc.type);
            const Request request(*this, [&](size_t i) { return inputs[i].max; }, dtype, Check::kNone);
            bytes = Op::workspace(request.call, dtype);
        });
        return bytes;
    }

    // TensorRT adds the shapes and the types.
    const char* getTimingCacheID() noexcept override { return identity_.c_str(); }

    const trt::PluginFieldCollection* getFieldsToSerialize() noexcept override { return &collection_; }

    trt::IPluginV3* attachToContext(trt::IPluginResourceContext*) noexcept override { return clone(); }

    int32_t onShapeChange(const trt::PluginTensorDesc* inputs, int32_t, const trt::PluginTensorDesc*,
                          int32_t) noexcept override {
        return result([&] { Request(*this, [&](size_t i) { return inputs[i].dims; }, dtype_of(inputs[0].type)); });
    }

    int32_t enqueue(const trt::PluginTensorDesc* descriptions, const trt::PluginTensorDesc*, const void* const* inputs,
                    void* const* outputs, void* workspace, cudaStream_t stream) noexcept override {
        return result([&] {
            const DType dtype = dtype_of(descriptions[0].type);
            Request request(*this, [&](size_t i) { return descriptions[i].dims; }, dtype);
            for (size_t i = 0; i < kInputs; ++i) request.inputs[i].data = const_cast<void*>(inputs[i]);
            request.call.output.data = outputs[0];
            const int error = Op::cuda(request.call, dtype, workspace, stream);
            if (error != 0) throw std::runtime_error(cudaGetErrorString(static_cast<cudaError_t>(error)));
        });
    }

  private:
    static constexpr size_t kInputs = static_cast<size_t>(Op::inputs);

    enum class Check { kFits, kNone };

    // A call, from the dimensions of its inputs.
    struct Request {
        std::array<Tensor, kInputs> inputs;
        Call call;

        template <class DimsOf>
        Request(const Plugin& plugin, const DimsOf& dims_of, DType dtype, Check check = Check::kFits)
            : call{inputs.data(), {}, plugin.attributes_.data()} {
            std::array<Shape<int64_t>, kInputs> shapes;
            for (size_t i = 0; i < kInputs; ++i) {
                inputs[i] = tensor_of(dims_of(i));
                shapes[i] = inputs[i].shape;
            }
            if (check == Check::kFits) {
                if (const char* problem = Op::problem(call, dtype)) refuse(problem, inputs.data(), Op::inputs);
            }
            call.output.shape = Op::shape(shapes.data(), call.attributes);
        }
        Request(const Request&) = delete;
    };

    template <class Body>
    static int32_t result(const Body& body) noexcept {
        return guarded<Op>(body) ? 0 : 1;
    }

    Attributes stored_;  // as they are serialized
    std::array<int64_t, static_cast<size_t>(attribute_count<Op>())> attributes_;
    std::array<trt::PluginField, Op::fields.size()> fields_;
    trt::PluginFieldCollection collection_;
    std::string identity_ = std::string(Op::name) + '/' + kVersion;
};

template <class Op>
class Creator final : public trt::IPluginCreatorV3One {
  public:
    Creator() {
        auto name = fields_.begin();
        for (const Field& each : Op::fields) *name++ = {each.name, nullptr, trt::PluginFieldType::kINT32, each.count};
        names_ = {static_cast<int32_t>(fields_.size()), fields_.data()};
    }

    const char* getPluginName() const noexcept override { return Op::name; }
    const char* getPluginVersion() const noexcept override { return kVersion; }
    const char* getPluginNamespace() const noexcept override { return kDomain; }
    const trt::PluginFieldCollection* getFieldNames() noexcept override { return &names_; }

    trt::IPluginV3* createPlugin(const char*, const trt::PluginFieldCollection* given,
                                 trt::TensorRTPhase) noexcept override {
        trt::IPluginV3* made = nullptr;
        guarded<Op>([&] {
            typename Plugin<Op>::Attributes attributes{};
            int32_t* values = attributes.data();
            for (const Field& field : Op::fields) {
                read_field(given, field, values);
                values += field.count;
            }
            made = new Plugin<Op>(attributes);
        });
        return made;
    }

  private:
    std::array<trt::PluginField, Op::fields.size()> fields_;
    trt::PluginFieldCollection names_;
};

}  // namespace detforge
