// Non-maximum suppression, hard and soft, class-aware, O(n^2) at worst.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <optional>
#include <utility>
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

// Intersection over union; 0 where there is no intersection.
inline float iou(const Box& a, float area_a, const Box& b, float area_b) {
    const float w = std::min(a.x2, b.x2) - std::max(a.x1, b.x1);
    const float h = std::min(a.y2, b.y2) - std::max(a.y1, b.y1);
    if (w <= 0.f || h <= 0.f) return 0.f;
    return w * h / (area_a + area_b - w * h);
}

// Soft-NMS: the best box is taken and lowers the scores of the others of its label, again and again. An overlap lowers
// by exp(-IoU^2 / sigma), or without a sigma by 1 - IoU from `threshold` on. Boxes go when their score no longer exceeds
// `floor`. Gives the indices of those that stay and their final scores, best first, at most `limit`; of equal scores
// the first in the input is taken first.
inline std::pair<std::vector<int64_t>, std::vector<float>> soft_nms(const Box* boxes, const float* scores,
                                                                    const int64_t* labels, size_t n, float threshold,
                                                                    std::optional<float> sigma, float floor,
                                                                    size_t limit) {
    struct Rival {
        int64_t index;
        float score, area;
    };
    std::vector<Rival> rivals;
    for (size_t i = 0; i < n; ++i) {
        if (scores[i] > floor) rivals.push_back({static_cast<int64_t>(i), scores[i], boxes[i].area()});
    }
    std::pair<std::vector<int64_t>, std::vector<float>> kept;
    while (!rivals.empty() && kept.first.size() < limit) {
        // Rivals stay in the order of the input, and the first of the largest is found.
        const auto place = std::max_element(rivals.begin(), rivals.end(),
                                            [](const Rival& a, const Rival& b) { return a.score < b.score; });
        const Rival best = *place;
        rivals.erase(place);
        kept.first.push_back(best.index);
        kept.second.push_back(best.score);
        for (Rival& rival : rivals) {
            if (labels[rival.index] != labels[best.index]) continue;
            const float overlap = iou(boxes[best.index], best.area, boxes[rival.index], rival.area);
            if (sigma) {
                rival.score *= std::exp(-overlap * overlap / *sigma);
            } else if (overlap >= threshold) {
                rival.score *= 1.f - overlap;
            }
        }
        rivals.erase(std::remove_if(rivals.begin(), rivals.end(), [&](const Rival& r) { return !(r.score > floor); }),
                     rivals.end());
    }
    return kept;
}

}  // namespace detforge
