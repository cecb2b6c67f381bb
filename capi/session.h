// A network in ONNX Runtime, whose library is opened when the first one is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "../plugins/core/ort_calls.h"

namespace detforge {

struct Port {
    ONNXTensorElementDataType type;
    std::vector<int64_t> shape;  // -1 for an axis of any length
};

// A tensor of ONNX Runtime.
class Tensor {
  public:
    Tensor(const OrtApi* api, OrtValue* value) : api_(api), value_(value) {}
    Tensor(Tensor&& other) noexcept : api_(other.api_), value_(other.value_) { other.value_ = nullptr; }
    Tensor(const Tensor&) = delete;
    ~Tensor() { ort::ReleaseValue(api_, value_); }

    const OrtValue* value() const { return value_; }
    Port port() const;
    void* data() const;

  private:
    const OrtApi* api_;
    OrtValue* value_;
};

class Session {
  public:
    // `runtime` may be null. Throws std::runtime_error.
    Session(const std::string& path, const char* runtime, int threads);
    Session(const Session&) = delete;
    ~Session();

    const std::map<std::string, Port>& inputs() const { return inputs_; }
    const std::map<std::string, Port>& outputs() const { return outputs_; }
    std::string metadata(const char* key) const;  // empty without the key

    // A tensor of values that the caller keeps.
    Tensor tensor(void* data, size_t bytes, const std::vector<int64_t>& shape, ONNXTensorElementDataType type) const;
    std::vector<Tensor> run(const std::vector<std::string>& input_names, const std::vector<Tensor>& inputs,
                            const std::vector<std::string>& output_names) const;

  private:
    const OrtApi* api_;
    OrtSession* session_ = nullptr;
    std::map<std::string, Port> inputs_, outputs_;
};

}  // namespace detforge
