// The peak of a map, and its refinement from the pixels around it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "gaussian.h"
#include "loops.h"

namespace detforge {

// A position in px of its map, and a value.
struct Peak {
    double x, y;
    float value;
};

// The peak of a map without a value above 0.
inline Peak empty(float value) { return {-1, -1, value}; }

// The pixel with the largest value. A map of NaN gives the empty peak with the value 0.
inline Peak top(const Map& map) {
    const ptrdiff_t index = argmax(map.values, map.h * map.w);
    if (index < 0) return empty(0);
    const float value = finite(map.values[index]);
    if (!(value > 0)) return empty(value);
    return {static_cast<double>(index % map.w), static_cast<double>(index / map.w), value};
}

inline double at(const Map& map, ptrdiff_t x, ptrdiff_t y) { return finite(map.values[y * map.w + x]); }

inline double sign(double value) { return (value > 0) - (value < 0); }

// A quarter of a pixel towards the larger neighbour on each axis, with the limits of mmpose. `older` versions, 0.x, move
// only peaks that are away from the border on both axes.
inline void step_quarter(const Map& map, Peak& peak, bool older = false) {
    const ptrdiff_t x = std::lround(peak.x), y = std::lround(peak.y);
    if (older && (x <= 1 || x >= map.w - 1 || y <= 1 || y >= map.h - 1)) return;
    if (x > 1 && x < map.w - 1 && y > 0) peak.x += 0.25 * sign(at(map, x + 1, y) - at(map, x - 1, y));
    if (y > 1 && y < map.h - 1 && x > 0) peak.y += 0.25 * sign(at(map, x, y + 1) - at(map, x, y - 1));
}

// The vertex of the parabola through three values, the middle one the largest, relative to the middle.
inline double parabola_top(double before, double middle, double after) {
    const double bend = before - 2 * middle + after;
    return bend < 0 ? 0.5 * (before - after) / bend : 0;
}

inline void step_parabola(const Map& map, Peak& peak) {
    const ptrdiff_t x = std::lround(peak.x), y = std::lround(peak.y);
    if (x > 0 && x < map.w - 1) peak.x += parabola_top(at(map, x - 1, y), peak.value, at(map, x + 1, y));
    if (y > 0 && y < map.h - 1) peak.y += parabola_top(at(map, x, y - 1), peak.value, at(map, x, y + 1));
}

// The Newton step to a zero of the gradient. Returns false without a step if the Hessian is singular.
inline bool newton(double dx, double dy, double dxx, double dxy, double dyy, double step[2]) {
    const double det = dxx * dyy - dxy * dxy;
    step[0] = -(dyy * dx - dxy * dy) / det;
    step[1] = -(dxx * dy - dxy * dx) / det;
    return det != 0 && std::isfinite(step[0]) && std::isfinite(step[1]);
}

// The vertex of the least-squares paraboloid of the 3x3 pixels, at most a pixel away. Falls back to step_quarter if it
// has no maximum.
inline void step_paraboloid(const Map& map, Peak& peak) {
    const ptrdiff_t x = std::lround(peak.x), y = std::lround(peak.y);
    if (x < 1 || x >= map.w - 1 || y < 1 || y >= map.h - 1) return step_quarter(map, peak);
    double columns[3] = {}, rows[3] = {};
    for (ptrdiff_t j = 0; j < 3; ++j) {
        for (ptrdiff_t i = 0; i < 3; ++i) {
            const double value = at(map, x + i - 1, y + j - 1);
            columns[i] += value;
            rows[j] += value;
        }
    }
    const double dxx = (columns[0] - 2 * columns[1] + columns[2]) / 3, dyy = (rows[0] - 2 * rows[1] + rows[2]) / 3;
    const double dxy =
        (at(map, x + 1, y + 1) - at(map, x + 1, y - 1) - at(map, x - 1, y + 1) + at(map, x - 1, y - 1)) / 4;
    double step[2];
    const bool has_top = dxx < 0 && dxx * dyy - dxy * dxy > 0;
    if (!has_top || !newton((columns[2] - columns[0]) / 6, (rows[2] - rows[0]) / 6, dxx, dxy, dyy, step)) {
        return step_quarter(map, peak);
    }
    peak.x += std::clamp(step[0], -1.0, 1.0);
    peak.y += std::clamp(step[1], -1.0, 1.0);
}

}  // namespace detforge
