// Hard non-maximum suppression, class-aware, O(n^2) at worst.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

namespace detforge {

struct Box {
    float x1, y1, x2, y2;
    float area() const { return std::max(0.f, x2 - x1) * std::max(0.f, y2 - y1); }
};

// True when the intersection over union of two boxes exceeds the threshold. Stated without a division, so that
// two empty boxes, whose ratio is 0/0, never suppress one another.
inline bool overlaps(const Box& a, float area_a, const Box& b, float area_b, float threshold) {
    const float w = std::min(a.x2, b.x2) - std::max(a.x1, b.x1);
    const float h = std::min(a.y2, b.y2) - std::max(a.y1, b.y1);
    if (w <= 0.f || h <= 0.f) return false;
    const float intersection = w * h;
    return intersection > threshold * (area_a + area_b - intersection);
}

// Indices of the boxes that stay, best first, at most `limit`. Equal scores keep the order of the input.
// A box is suppressed by a better one of its own label whose IoU with it exceeds the threshold.
inline std::vector<int64_t> nms(const Box* boxes, const float* scores, const int64_t* labels, size_t n,
                                float threshold, size_t limit) {
    std::vector<int64_t> order(n);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int64_t i, int64_t j) { return scores[i] > scores[j]; });
    std::vector<int64_t> kept;
    std::vector<float> kept_area;
    for (const int64_t i : order) {
        if (kept.size() == limit) break;
        const float area = boxes[i].area();
        bool stays = true;
        for (size_t k = 0; k < kept.size() && stays; ++k) {
            stays = labels[kept[k]] != labels[i] ||
                    !overlaps(boxes[kept[k]], kept_area[k], boxes[i], area, threshold);
        }
        if (!stays) continue;
        kept.push_back(i);
        kept_area.push_back(area);
    }
    return kept;
}

}  // namespace detforge
