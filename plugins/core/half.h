// IEEE half precision on the CPU: storage only, arithmetic is in float.
#pragma once

#include <cstdint>

namespace detforge {

struct Half {
    uint16_t bits;
};

void to_float(const Half* from, float* to, int64_t count);
void to_half(const float* from, Half* to, int64_t count);  // to nearest, ties to even

}  // namespace detforge
