// Votes of pixels for the point to which their vectors lead (PVNet, arXiv 1812.11788, section 3.1).
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "../../plugins/core/simd.h"

namespace detforge {

constexpr float kShort = 1e-6f;  // shorter vectors have no direction, and lines of a smaller cross product do not meet

struct Place {
    float x, y;
};

// Where the lines through a and b along u and v cross; the origin if they do not.
inline Place crossing(Place a, Place u, Place b, Place v) {
    const float cross = u.x * v.y - u.y * v.x;
    if (!(std::abs(cross) >= kShort)) return {0, 0};
    const float along = ((b.x - a.x) * v.y - (b.y - a.y) * v.x) / cross;
    return {a.x + along * u.x, a.y + along * u.y};
}

// How many pixels at (x, y) have a unit vector (u, v) that points to p, with a cosine above `cosine`.
DETFORGE_CLONES static int32_t votes_for(Place p, const float* x, const float* y, const float* u, const float* v,
                                         size_t count, float cosine) {
    int32_t votes = 0;
    for (size_t i = 0; i < count; ++i) {
        const float dx = p.x - x[i], dy = p.y - y[i];
        const float length = std::sqrt(dx * dx + dy * dy), along = dx * u[i] + dy * v[i];
        votes += (length >= kShort) & (along > cosine * length);
    }
    return votes;
}

// For `count` pixels, their `places` (count, 2) and one vector each, `vectors` (count, stride, 2): the hypotheses
// (rounds, stride, 2), where the lines of each pair of pixels cross, and how many pixels point to each, with a cosine
// above `cosine`. `pairs` (rounds, stride, 2) holds indices of pixels. All arrays start at one of the `stride` points.
inline void vote_lines(const float* places, const float* vectors, size_t count, size_t stride, const int64_t* pairs,
                       size_t rounds, float cosine, float* hypotheses, int32_t* counts) {
    std::vector<float> x(count), y(count), u(count), v(count);
    for (size_t i = 0; i < count; ++i) {
        x[i] = places[2 * i], y[i] = places[2 * i + 1];
        const float dx = vectors[2 * i * stride], dy = vectors[2 * i * stride + 1];
        const float length = std::sqrt(dx * dx + dy * dy);
        // A vector without a direction points nowhere.
        u[i] = length >= kShort ? dx / length : 0, v[i] = length >= kShort ? dy / length : 0;
    }
    const auto vector = [&](int64_t i) { return Place{vectors[2 * i * stride], vectors[2 * i * stride + 1]}; };
    const auto place = [&](int64_t i) { return Place{places[2 * i], places[2 * i + 1]}; };
    for (size_t r = 0; r < rounds; ++r) {
        const int64_t one = pairs[2 * r * stride], other = pairs[2 * r * stride + 1];
        const Place p = crossing(place(one), vector(one), place(other), vector(other));
        hypotheses[2 * r * stride] = p.x, hypotheses[2 * r * stride + 1] = p.y;
        counts[r * stride] = votes_for(p, x.data(), y.data(), u.data(), v.data(), count, cosine);
    }
}

}  // namespace detforge
