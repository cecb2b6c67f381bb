// The overlap of polygons of any shape, and suppression of duplicates by it.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "order.h"

namespace detforge {

struct Point {
    double x, y;
};

// A polygon with its bounds and its area.
struct Polygon {
    std::vector<Point> corners;
    Point low, high;
    double area;

    explicit Polygon(std::vector<Point> given) : corners(std::move(given)), low{0, 0}, high{0, 0}, area(0) {
        if (corners.empty()) return;
        low = high = corners[0];
        for (const Point& p : corners) {
            low = {std::min(low.x, p.x), std::min(low.y, p.y)};
            high = {std::max(high.x, p.x), std::max(high.y, p.y)};
        }
        for (size_t i = 0; i < corners.size(); ++i) {
            const Point &a = corners[i], &b = corners[(i + 1) % corners.size()];
            area += (a.x - low.x) * (b.y - low.y) - (b.x - low.x) * (a.y - low.y);
        }
        area = std::abs(area) / 2;
    }
};

// One side of a polygon, from left to right.
struct Side {
    double left, right, start, slope, sign;
    double at(double x) const { return start + slope * (x - left); }
};

inline std::vector<Side> sides(const Polygon& polygon, Point origin, double first, double last) {
    std::vector<Side> found;
    for (size_t i = 0; i < polygon.corners.size(); ++i) {
        Point a = polygon.corners[i], b = polygon.corners[(i + 1) % polygon.corners.size()];
        const double sign = a.x < b.x ? 1 : -1;
        if (sign < 0) std::swap(a, b);
        if (!(a.x < b.x) || b.x <= first || a.x >= last) continue;
        found.push_back({a.x - origin.x, b.x - origin.x, a.y - origin.y, (b.y - a.y) / (b.x - a.x), sign});
    }
    return found;
}

// The area that two polygons share. Each is the sum of the areas below its sides, negative for those to the left, so
// that what they share is a sum over pairs of sides: the area below the lower of both.
inline double shared_area(const Polygon& a, const Polygon& b) {
    const Point low{std::max(a.low.x, b.low.x), std::max(a.low.y, b.low.y)};
    const Point high{std::min(a.high.x, b.high.x), std::min(a.high.y, b.high.y)};
    if (!(low.x < high.x && low.y < high.y)) return 0;
    const Point origin{low.x, std::min(a.low.y, b.low.y)};
    const std::vector<Side> ours = sides(a, origin, low.x, high.x), theirs = sides(b, origin, low.x, high.x);
    double sum = 0;
    for (const Side& one : ours) {
        for (const Side& other : theirs) {
            const double from = std::max(one.left, other.left), to = std::min(one.right, other.right);
            if (!(from < to)) continue;
            const double y[] = {one.at(from), one.at(to), other.at(from), other.at(to)};
            const double start = y[0] - y[2], end = y[1] - y[3], apart = std::abs(start) + std::abs(end);
            // The mean of the lower one is half of the sum of both without their mean distance.
            const bool cross = (start < 0) != (end < 0);
            const double distance = !(apart > 0) ? 0 : cross ? (start * start + end * end) / (2 * apart) : apart / 2;
            sum += one.sign * other.sign * (to - from) * ((y[0] + y[1] + y[2] + y[3]) / 2 - distance) / 2;
        }
    }
    return std::abs(sum);
}

// Intersection over union, 0..1; 0 if a polygon has no area or a corner is not finite.
inline double iou(const Polygon& a, const Polygon& b) {
    const double shared = shared_area(a, b), all = a.area + b.area - shared;
    return shared > 0 && all > 0 && std::isfinite(all) ? std::min(shared / all, 1.0) : 0;
}

// The indices of the kept polygons, best first, at most `limit`. Equal scores keep the order of the input.
// A polygon is suppressed by a better one of the same label if their IoU exceeds the threshold.
inline std::vector<int64_t> polygon_nms(const std::vector<Polygon>& polygons, const float* scores, const int64_t* labels,
                                        double threshold, size_t limit) {
    std::vector<int64_t> kept;
    for (const int64_t i : best_first(scores, polygons.size())) {
        if (kept.size() == limit) break;
        const bool is_duplicate = threshold < 1 && std::any_of(kept.begin(), kept.end(), [&](int64_t k) {
            return labels[k] == labels[i] && iou(polygons[k], polygons[i]) > threshold;
        });
        if (!is_duplicate) kept.push_back(i);
    }
    return kept;
}

// Polygons of four corners and their scores.
struct Quads {
    std::vector<std::array<double, 8>> corners;
    std::vector<float> scores;

    Polygon polygon(size_t i) const {
        const std::array<double, 8>& c = corners[i];
        return Polygon({{c[0], c[1]}, {c[2], c[3]}, {c[4], c[5]}, {c[6], c[7]}});
    }
};

// Locality-aware NMS (EAST): a quad that overlaps the one before it is merged with it, to their mean weighted by their
// scores, with the sum of both as its score. NMS of what is left follows. The result is best first, at most `limit`.
inline Quads locality_nms(const Quads& given, double threshold, size_t limit) {
    Quads merged;
    for (size_t i = 0; i < given.corners.size(); ++i) {
        if (!merged.corners.empty() && iou(given.polygon(i), merged.polygon(merged.corners.size() - 1)) > threshold) {
            std::array<double, 8>& last = merged.corners.back();
            float& score = merged.scores.back();
            const double sum = static_cast<double>(score) + given.scores[i];
            for (size_t c = 0; c < 8; ++c) {
                last[c] = (given.scores[i] * given.corners[i][c] + score * last[c]) / sum;
            }
            score = static_cast<float>(sum);
        } else {
            merged.corners.push_back(given.corners[i]);
            merged.scores.push_back(given.scores[i]);
        }
    }
    std::vector<Polygon> polygons;
    for (size_t i = 0; i < merged.corners.size(); ++i) polygons.push_back(merged.polygon(i));
    const std::vector<int64_t> labels(polygons.size(), 0);
    Quads best;
    for (const int64_t i : polygon_nms(polygons, merged.scores.data(), labels.data(), threshold, limit)) {
        best.corners.push_back(merged.corners[i]);
        best.scores.push_back(merged.scores[i]);
    }
    return best;
}

}  // namespace detforge
