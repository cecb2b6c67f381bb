// Half precision, as storage.
#pragma once

#include <cstdint>

struct __half {
    _Float16 value;
    explicit operator float() const { return static_cast<float>(value); }
};

inline float __half2float(__half x) { return static_cast<float>(x); }
inline __half __float2half_rn(float x) { return {static_cast<_Float16>(x)}; }

struct __half2 {
    __half x, y;
};

inline __half __hmax_nan(__half a, __half b) { return b.value > a.value || b.value != b.value ? b : a; }
inline __half2 __hmax2_nan(__half2 a, __half2 b) { return {__hmax_nan(a.x, b.x), __hmax_nan(a.y, b.y)}; }

inline __half2 __hmul2(__half2 a, __half2 b) {
    return {__float2half_rn(__half2float(a.x) * __half2float(b.x)),
            __float2half_rn(__half2float(a.y) * __half2float(b.y))};
}
inline __half2 __hfma2(__half2 a, __half2 b, __half2 c) {
    return {__float2half_rn(__half2float(a.x) * __half2float(b.x) + __half2float(c.x)),
            __float2half_rn(__half2float(a.y) * __half2float(b.y) + __half2float(c.y))};
}
