// Non-maximum suppression, hard and soft, class-aware.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "order.h"
#include "box_index.h"

namespace detforge {

// The indices of the kept boxes, best first, at most `limit`. Equal scores keep the order of the input.
// A box is suppressed by a better one of the same label if their IoU exceeds the threshold.
inline std::vector<int64_t> nms(const Box* boxes, const float* scores, const int64_t* labels, size_t n, double threshold,
                                size_t limit) {
    std::vector<int64_t> order = best_first(scores, n);
    if (threshold >= 1) {
        order.resize(std::min(n, limit));
        return order;
    }
    BoxIndex index(std::min(n, limit), threshold);
    std::vector<int64_t> kept;
    for (const int64_t i : order) {
        if (kept.size() == limit) break;
        if (index.overlaps(boxes[i], labels[i])) continue;
        index.add(boxes[i], labels[i]);
        kept.push_back(i);
    }
    return kept;
}

// The kept indices and their final scores, best first.
using Scored = std::pair<std::vector<int64_t>, std::vector<float>>;

// IoU-guided NMS: boxes are ordered by quality, and a kept box takes the best score of those that it suppresses.
inline Scored guided_nms(const Box* boxes, const float* scores, const float* quality, const int64_t* labels, size_t n,
                         double threshold, size_t limit) {
    Scored kept;
    BoxIndex index(n, threshold);
    for (const int64_t i : best_first(quality, n)) {
        if (threshold < 1 && index.overlaps(boxes[i], labels[i])) {
            size_t k = 0;
            while (labels[kept.first[k]] != labels[i] || iou(boxes[kept.first[k]], boxes[i]) <= threshold) ++k;
            kept.second[k] = std::max(kept.second[k], scores[i]);
        } else {
            if (threshold < 1) index.add(boxes[i], labels[i]);
            kept.first.push_back(i);
            kept.second.push_back(scores[i]);
        }
    }
    Scored best;
    for (const int64_t k : best_first(kept.second.data(), kept.second.size())) {
        if (best.first.size() == limit) break;
        best.first.push_back(kept.first[k]);
        best.second.push_back(kept.second[k]);
    }
    return best;
}

// Soft suppression: takes the best item and multiplies the scores of the others by a factor (best, other) <= 1, until
// `limit` are taken. Items whose score is not above `floor` are dropped. Of equal scores the first in the input is
// taken first.
template <typename Factor>
Scored lower_others(const float* scores, size_t n, float floor, size_t limit, Factor factor) {
    struct Rival {
        double score;
        int64_t index;
        size_t seen;  // the number of taken items already applied to its score
    };
    const auto is_worse = [](const Rival& a, const Rival& b) {
        return a.score != b.score ? a.score < b.score : a.index > b.index;
    };
    std::vector<Rival> rivals;
    for (size_t i = 0; i < n; ++i) {
        if (scores[i] > floor) rivals.push_back({scores[i], static_cast<int64_t>(i), 0});
    }
    std::make_heap(rivals.begin(), rivals.end(), is_worse);
    Scored kept;
    // Scores only decrease, so factors are applied lazily, when an item reaches the top.
    while (!rivals.empty() && kept.first.size() < limit) {
        std::pop_heap(rivals.begin(), rivals.end(), is_worse);
        Rival rival = rivals.back();
        rivals.pop_back();
        const double before = rival.score;
        for (; rival.seen < kept.first.size() && rival.score > floor; ++rival.seen) {
            rival.score *= factor(kept.first[rival.seen], rival.index);
        }
        if (rival.score == before) {
            kept.first.push_back(rival.index);
            kept.second.push_back(static_cast<float>(rival.score));
        } else if (rival.score > floor) {
            rivals.push_back(rival);
            std::push_heap(rivals.begin(), rivals.end(), is_worse);
        }
    }
    return kept;
}

// Soft-NMS of boxes of the same label. The factor is exp(-IoU^2 / sigma), or without a sigma 1 - IoU if the IoU is at
// least `threshold`.
inline Scored soft_nms(const Box* boxes, const float* scores, const int64_t* labels, size_t n, double threshold,
                        std::optional<double> sigma, float floor, size_t limit) {
    return lower_others(scores, n, floor, limit, [&](int64_t best, int64_t other) {
        if (labels[best] != labels[other]) return 1.0;
        const double overlap = iou(boxes[best], boxes[other]);
        if (overlap == 0) return 1.0;
        if (sigma) return std::exp(-overlap * overlap / *sigma);
        return overlap >= threshold ? 1 - overlap : 1.0;
    });
}

}  // namespace detforge
