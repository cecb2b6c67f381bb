// Bilinear samples that take the outermost pixel up to one pixel outside, and are 0 further out.
#pragma once

#include "op.h"

namespace detforge {

// One axis of a bilinear sample: pixels `low` and `high`, weighted 1 - fraction and fraction.
struct Neighbours {
    int low, high;
    float fraction;
};

// A sample more than one pixel outside is 0; a NaN is outside.
DETFORGE_HD bool is_inside(float position, int size) {
    return position >= -1.0f && position <= static_cast<float>(size);
}

// `position` is inside; up to one pixel outside takes the outermost pixel.
DETFORGE_HD Neighbours neighbours(float position, int size) {
    const float last = static_cast<float>(size - 1);
    position = position < 0.0f ? 0.0f : position > last ? last : position;
    const int low = static_cast<int>(position);
    return {low, low < size - 1 ? low + 1 : low, position - static_cast<float>(low)};
}

}  // namespace detforge
