// Growth of labelled regions over a mask.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace detforge {

// Labels (height, width) spread to the unlabelled pixels of the mask above, below, left and right of them, all by one
// pixel in each round. A pixel keeps the label that reaches it first: of one round, that of the earlier source.
inline void grow(int32_t* labels, const uint8_t* mask, size_t height, size_t width) {
    std::vector<size_t> reached;
    for (size_t i = 0; i < height * width; ++i) {
        if (labels[i] != 0) reached.push_back(i);
    }
    const auto reach = [&](size_t from, size_t to) {
        if (labels[to] != 0 || !mask[to]) return;
        labels[to] = labels[from];
        reached.push_back(to);
    };
    for (size_t next = 0; next < reached.size(); ++next) {
        const size_t i = reached[next], row = i / width, column = i % width;
        if (row > 0) reach(i, i - width);
        if (row + 1 < height) reach(i, i + width);
        if (column > 0) reach(i, i - 1);
        if (column + 1 < width) reach(i, i + 1);
    }
}

}  // namespace detforge
