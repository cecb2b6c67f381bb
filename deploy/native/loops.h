// The loops over whole maps in which decoding spends its time, for the instruction sets of every x86-64 processor.
#pragma once

#include <cstddef>
#include <limits>

#include "../../plugins/core/simd.h"

namespace detforge {

// The first of the largest values; what is no number is never it. Gives -1 where all are none.
DETFORGE_CLONES static ptrdiff_t argmax(const float* values, ptrdiff_t count) {
    constexpr ptrdiff_t lanes = 16, block = 16 * lanes;
    float most = -std::numeric_limits<float>::infinity();
    ptrdiff_t start = 0;  // of the block in which that value comes first
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

// Values and their neighbours, `step` apart, under a symmetric kernel, whose `half` goes from its middle to `reach`.
// Neighbours are added to one another first: what is symmetric stays so to the last bit, and compares as equal.
DETFORGE_CLONES static void sum_pairs(const float* half, ptrdiff_t reach, const float* from, ptrdiff_t step, float* to,
                                      ptrdiff_t count) {
    for (ptrdiff_t x = 0; x < count; ++x) to[x] = half[0] * from[x];
    for (ptrdiff_t i = 1; i <= reach; ++i) {
        const float *before = from - i * step, *after = from + i * step;
        for (ptrdiff_t x = 0; x < count; ++x) to[x] += half[i] * (before[x] + after[x]);
    }
}

}  // namespace detforge
