// Half precision, as storage.
#pragma once

#include <cstdint>

struct __half {
    _Float16 value;
    explicit operator float() const { return static_cast<float>(value); }
};

inline float __half2float(__half x) { return static_cast<float>(x); }
inline __half __float2half_rn(float x) { return {static_cast<_Float16>(x)}; }
