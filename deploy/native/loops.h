// The loops over whole maps that take most of the decoding time, compiled for several x86-64 instruction sets.
#pragma once

#include <cstddef>
#include <limits>

#include "../../plugins/core/simd.h"

namespace detforge {

// The index of the first largest value, ignoring NaN; -1 if all are NaN.
DETFORGE_CLONES static ptrdiff_t argmax(const float* values, ptrdiff_t count) {
    constexpr ptrdiff_t lanes = 16, block = 16 * lanes;
    float most = -std::numeric_limits<float>::infinity();
    ptrdiff_t start = 0;  // of the first block with that value
    for (ptrdiff_t i = 0; i < count; i += block) {
        float best[lanes];
        const ptrdiff_t end = i + block < count ? i + block : count;
        for (ptrdiff_t j = 0; j < lanes; ++j) best[j] = most;
        ptrdiff_t k = i;
        for (; k + lanes <= end; k += lanes) {
            for (ptrdiff_t j = 0; j < lanes; ++j) best[j] = values[k + j] > best[j] ? values[k + j] : best[j];
        }
        float larger = most;
        for (; k < end; ++k) larger = values[k] > larger ? values[k] : larger;
        for (ptrdiff_t j = 0; j < lanes; ++j) larger = best[j] > larger ? best[j] : larger;
        if (larger > most) {
            most = larger;
            start = i;
        }
    }
    while (start < count && values[start] != most) ++start;
    return start == count ? -1 : start;
}

// Convolves values with a symmetric kernel; neighbours are `step` apart, and `half` is the kernel from its centre to
// `reach`. Neighbours at the same distance are added first, so that symmetric maps stay symmetric to the last bit.
DETFORGE_CLONES static void sum_pairs(const float* half, ptrdiff_t reach, const float* from, ptrdiff_t step, float* to,
                                      ptrdiff_t count) {
    for (ptrdiff_t x = 0; x < count; ++x) to[x] = half[0] * from[x];
    for (ptrdiff_t i = 1; i <= reach; ++i) {
        const float *before = from - i * step, *after = from + i * step;
        for (ptrdiff_t x = 0; x < count; ++x) to[x] += half[i] * (before[x] + after[x]);
    }
}

}  // namespace detforge
