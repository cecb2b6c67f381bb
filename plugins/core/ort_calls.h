// Calls of ONNX Runtime's functions and ownership of its objects, for ort.cpp and the C library.
#pragma once

#include <stdexcept>
#include <string>

#include "ort_api.h"

namespace detforge::ort {

// Calls a function of ONNX Runtime that returns a status, and throws when that is an error.
template <class Function, class... Args>
void invoke(const OrtApi* api, const Function& function, Args... args) {
    OrtStatus* status = function(api, args...);
    if (status == nullptr) return;
    const std::string message = GetErrorMessage(api, status);
    ReleaseStatus(api, status);
    throw std::runtime_error(message);
}

// An object that ONNX Runtime made for us, released at the end.
template <class T, const auto& kRelease>
class Owned {
  public:
    explicit Owned(const OrtApi* api) : api_(api) {}
    Owned(const Owned&) = delete;
    ~Owned() { kRelease(api_, object_); }

    T** out() { return &object_; }
    T* get() const { return object_; }

  private:
    const OrtApi* api_;
    T* object_ = nullptr;
};

}  // namespace detforge::ort
