// Decoding of keypoints from heatmaps with offsets: UDP's largest pixel and G-RMI's Hough voting.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "gaussian.h"
#include "peaks.h"

namespace detforge {

// The smoothed value of one pixel, with reflection at the border.
inline double smoothed(const Map& map, ptrdiff_t x, ptrdiff_t y, const std::vector<double>& kernel) {
    const ptrdiff_t half = kernel.size() - 1;
    double sum = 0;
    for (ptrdiff_t j = -half; j <= half; ++j) {
        for (ptrdiff_t i = -half; i <= half; ++i) {
            const double value = at(map, reflected(x + i, map.w), reflected(y + j, map.h));
            sum += kernel[std::abs(j)] * kernel[std::abs(i)] * value;
        }
    }
    return sum;
}

// The offsets of a keypoint on both axes.
struct Field {
    Map dx, dy;
};

// UDP's combined maps: the largest pixel of the smoothed map plus `radius` times the smoothed offset there. Without a
// value above 0 it is (-1, -1) plus the offset that the reference reads there, at the end of the `previous` keypoint.
inline Peak offset_peak(const Map& map, const Field& field, const Field& previous, double radius, Smoother& smoother,
                        const std::vector<double>& kernel) {
    Peak peak = top(smoother(map));
    const bool found = peak.value > 0;
    const ptrdiff_t x = found ? std::lround(peak.x) : map.w - 1;
    const ptrdiff_t y = found ? std::lround(peak.y) : std::max<ptrdiff_t>(map.h - 2, 0);
    const Field& offsets = found ? field : previous;
    peak.x += radius * smoothed(offsets.dx, x, y, kernel);
    peak.y += radius * smoothed(offsets.dy, x, y, kernel);
    return peak;
}

// The largest integer that is not above the value.
inline ptrdiff_t below(float value) {
    const ptrdiff_t cut = static_cast<ptrdiff_t>(value);
    return cut - (value < cut);
}

// G-RMI's fusion, f(p) = sum_q h(q) G(q + offset(q) - p) / (pi radius^2), where G is the bilinear kernel: the maximum
// of f.
inline Peak vote_peak(const Map& map, const Map& dx, const Map& dy, double radius, std::vector<float>& votes) {
    votes.assign(map.h * map.w, 0.f);
    for (ptrdiff_t y = 0, i = 0; y < map.h; ++y) {
        for (ptrdiff_t x = 0; x < map.w; ++x, ++i) {
            const float weight = finite(map.values[i]), to_x = x + dx.values[i], to_y = y + dy.values[i];
            // The comparison excludes NaN offsets.
            if (!(weight > 0) || !(to_x > -1 && to_x < map.w && to_y > -1 && to_y < map.h)) continue;
            const ptrdiff_t column = below(to_x), row = below(to_y);
            const float u = to_x - column, v = to_y - row;
            const ptrdiff_t at = row * map.w + column;
            const bool in_left = column >= 0, in_right = column + 1 < map.w;
            if (row >= 0 && in_left) votes[at] += weight * (1 - u) * (1 - v);
            if (row >= 0 && in_right) votes[at + 1] += weight * u * (1 - v);
            if (row + 1 < map.h && in_left) votes[at + map.w] += weight * (1 - u) * v;
            if (row + 1 < map.h && in_right) votes[at + map.w + 1] += weight * u * v;
        }
    }
    Peak peak = top({votes.data(), map.h, map.w});
    peak.value /= 3.14159265358979323846 * radius * radius;
    return peak;
}

}  // namespace detforge
