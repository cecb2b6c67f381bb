// The operators as TensorRT plugins: libdetforge_trt.
//
// Nothing of TensorRT is linked; its registry loads this library and asks getCreators what is in it.
#include "trt.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

#include "ops.h"  // made by CMake: every folder's kernel.h, and AllOps
#include "trt_logger.h"

namespace detforge {
namespace {

std::string text(const Tensor& tensor) {
    std::string dims;
    for (int axis = 0; axis < tensor.shape.rank; ++axis) dims += (axis == 0 ? "" : ", ") + std::to_string(tensor[axis]);
    return '(' + dims + ')';
}

}  // namespace

void report(const char* op, const char* problem) noexcept {
    char message[512];
    std::snprintf(message, sizeof message, "detforge %s: %s", op, problem);
    log_error(message);
}

void read_field(const trt::PluginFieldCollection* given, const Field& field, int32_t* values) {
    const auto refuse = [&](const std::string& problem) {
        throw std::invalid_argument(std::string("attribute ") + field.name + ' ' + problem +
                                    "; export the model again, or give the node " + std::to_string(field.count) +
                                    " integer(s) of that name");
    };
    for (int i = 0; given != nullptr && i < given->nbFields; ++i) {
        const trt::PluginField& found = given->fields[i];
        if (std::strcmp(found.name, field.name) != 0) continue;
        const bool wide = found.type == trt::PluginFieldType::kINT64;
        if (!wide && found.type != trt::PluginFieldType::kINT32) refuse("is not of integers");
        if (found.length != field.count) refuse("has " + std::to_string(found.length) + " values");
        for (int k = 0; k < field.count; ++k) {
            const int64_t value =
                wide ? static_cast<const int64_t*>(found.data)[k] : static_cast<const int32_t*>(found.data)[k];
            values[k] = static_cast<int32_t>(value);
            if (values[k] != value) refuse("is out of range");
        }
        return;
    }
    refuse("is missing");
}

void check_count(int count, int expected) {
    if (count == expected) return;
    throw std::invalid_argument("the node has " + std::to_string(count) + " inputs and not " +
                                std::to_string(expected) + "; export the model again");
}

bool supported(trt::DataType type) {
    return type == trt::DataType::kFLOAT || type == trt::DataType::kHALF || type == trt::DataType::kBF16;
}

DType dtype_of(trt::DataType type) {
    return type == trt::DataType::kHALF   ? DType::kHalf
           : type == trt::DataType::kBF16 ? DType::kBFloat16
                                          : DType::kFloat;
}

void check_types(const trt::DataType* types, int count, unsigned float_inputs) {
    for (int i = 0; i < count; ++i) {
        const bool is_float = (float_inputs >> i & 1u) != 0;
        if (types[i] == (is_float ? trt::DataType::kFLOAT : types[0]) && supported(types[i])) continue;
        if (is_float) throw std::invalid_argument("input " + std::to_string(i) + " is not float; cast it");
        throw std::invalid_argument("the inputs are not all float, all half or all bfloat16; cast them to one type");
    }
}

Tensor tensor_of(const trt::Dims& dims) {
    Tensor tensor;
    if (dims.nbDims > static_cast<int>(tensor.shape.dims.size())) {
        throw std::invalid_argument("an input has more than four axes; check what the model feeds this node");
    }
    tensor.shape.rank = dims.nbDims;
    std::copy(dims.d, dims.d + dims.nbDims, tensor.shape.dims.begin());
    return tensor;
}

void refuse(const char* problem, const Tensor* inputs, int count) {
    std::string shapes;
    for (int i = 0; i < count; ++i) shapes += (i == 0 ? "" : ", ") + text(inputs[i]);
    throw std::invalid_argument(std::string(problem) + ": the inputs are " + shapes +
                                "; check what the model feeds this node");
}

}  // namespace detforge

#define DETFORGE_EXPORT extern "C" __attribute__((visibility("default")))

DETFORGE_EXPORT nvinfer1::IPluginCreatorInterface* const* getCreators(int32_t& count) {
    using namespace detforge;
    static const auto creators = [] {
        std::vector<trt::IPluginCreatorInterface*> made;
        AllOps::each([&](auto tag) {
            static Creator<typename decltype(tag)::type> creator;
            made.push_back(&creator);
        });
        return made;
    }();
    count = static_cast<int32_t>(creators.size());
    return creators.data();
}

DETFORGE_EXPORT void setLoggerFinder(void* finder) { detforge::log_with(finder); }
