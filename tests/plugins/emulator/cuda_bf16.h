// bfloat16, as storage.
#pragma once

#include <cstdint>
#include <cstring>

struct __nv_bfloat16 {
    uint16_t bits;
    explicit operator float() const {
        const uint32_t wide = static_cast<uint32_t>(bits) << 16;
        float value;
        std::memcpy(&value, &wide, sizeof(value));
        return value;
    }
};

inline float __bfloat162float(__nv_bfloat16 x) { return static_cast<float>(x); }
inline __nv_bfloat16 __float2bfloat16_rn(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof(bits));
    if (x != x) return {0x7fff};
    return {static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16)};
}

struct __nv_bfloat162 {
    __nv_bfloat16 x, y;
};

inline __nv_bfloat16 __hmax_nan(__nv_bfloat16 a, __nv_bfloat16 b) {
    const float left = static_cast<float>(a), right = static_cast<float>(b);
    return right > left || right != right ? b : a;
}
inline __nv_bfloat162 __hmax2_nan(__nv_bfloat162 a, __nv_bfloat162 b) {
    return {__hmax_nan(a.x, b.x), __hmax_nan(a.y, b.y)};
}

inline __nv_bfloat162 __hmul2(__nv_bfloat162 a, __nv_bfloat162 b) {
    return {__float2bfloat16_rn(static_cast<float>(a.x) * static_cast<float>(b.x)),
            __float2bfloat16_rn(static_cast<float>(a.y) * static_cast<float>(b.y))};
}
inline __nv_bfloat162 __hfma2(__nv_bfloat162 a, __nv_bfloat162 b, __nv_bfloat162 c) {
    return {__float2bfloat16_rn(static_cast<float>(a.x) * static_cast<float>(b.x) + static_cast<float>(c.x)),
            __float2bfloat16_rn(static_cast<float>(a.y) * static_cast<float>(b.y) + static_cast<float>(c.y))};
}
