#include "half.h"

#include <cstring>

#include "simd.h"

namespace detforge {
namespace {

template <class To, class From>
DETFORGE_INLINE To bit_cast(From value) {
    static_assert(sizeof(To) == sizeof(From), "sizes differ");
    To result;
    std::memcpy(&result, &value, sizeof(To));
    return result;
}

// Both conversions are free of branches, so that compilers make vectors of them.

DETFORGE_INLINE float to_float(uint16_t half) {
    const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16, rest = half & 0x7fffu;
    // The exponent's bias grows from 15 to 127 by a product, which also makes subnormals normal.
    const float finite = bit_cast<float>(rest << 13) * 0x1p112f;
    const uint32_t special = 0x7f800000u | (rest << 13);
    return bit_cast<float>(sign | (rest >= 0x7c00u ? special : bit_cast<uint32_t>(finite)));
}

DETFORGE_INLINE uint16_t to_half(float value) {
    const uint32_t bits = bit_cast<uint32_t>(value), rest = bits & 0x7fffffffu;
    const uint32_t odd = (rest >> 13) & 1u;
    const uint32_t normal = (rest - (112u << 23) + 0xfffu + odd) >> 13;
    // Below 2^-14 the sum with 0.5 leaves the value, rounded to steps of 2^-24, in the last bits.
    const uint32_t subnormal = bit_cast<uint32_t>(bit_cast<float>(rest) + 0.5f) - 0x3f000000u;
    const uint32_t not_finite = rest > 0x7f800000u ? 0x7e00u : 0x7c00u;
    const uint32_t half = rest < 0x38800000u ? subnormal : rest < 0x477ff000u ? normal : not_finite;
    return static_cast<uint16_t>((bits >> 16 & 0x8000u) | half);
}

}  // namespace

DETFORGE_CLONES void to_float(const Half* from, float* to, int64_t count) {
    for (int64_t i = 0; i < count; ++i) to[i] = to_float(from[i].bits);
}

DETFORGE_CLONES void to_half(const float* from, Half* to, int64_t count) {
    for (int64_t i = 0; i < count; ++i) to[i].bits = to_half(from[i]);
}

}  // namespace detforge
