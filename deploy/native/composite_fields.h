// Composite fields of PifPaf (Kreiss et al., arXiv 1903.06593 and 2103.02440), and what is looked up in them.
//
// A field gives each cell a confidence, one or two positions and as many scales. Lengths are in px of the canvas.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace detforge {

// Of keypoints the confidences (k, h, w) and x, y and scale (k, 3, h, w); of limbs the confidences (limbs, h, w) and x
// and y of both ends and both scales (limbs, 6, h, w). Positions and scales are in cells. Each of `views` of the image
// has as many rows of cells, one below the other.
struct CompositeFields {
    const float *heatmaps, *places, *limbs, *ends;
    ptrdiff_t k, h, w, views;

    const float* heatmap(ptrdiff_t index) const { return heatmaps + index * h * w; }
    const float* place(ptrdiff_t index, ptrdiff_t part) const { return places + (index * 3 + part) * h * w; }
    const float* limb(ptrdiff_t index) const { return limbs + index * h * w; }
    const float* end(ptrdiff_t index, ptrdiff_t part) const { return ends + (index * 6 + part) * h * w; }
};

struct CompositeRules {
    std::vector<std::pair<ptrdiff_t, ptrdiff_t>> limbs;
    ptrdiff_t stride;
    size_t most;  // seeds that are tried
    float least_peak, least_seed, least_keypoint, least_person;
};

struct FieldJoint {
    float score = 0, x = 0, y = 0, scale = 0;
};

using FieldPerson = std::vector<FieldJoint>;

// A number that a network gives: not NaN, and not so large that lengths overflow.
inline bool is_sound(float value) { return std::abs(value) <= 1e6f; }

// The confidences of a keypoint's cells, gathered where they point to, at the resolution of the canvas.
class FineMaps {
public:
    FineMaps(const CompositeFields& fields, const CompositeRules& rules)
        : h((fields.h / fields.views - 1) * rules.stride + 1),
          w((fields.w - 1) * rules.stride + 1),
          values_(fields.k * h * w) {
        const float neighbours = 16.f * fields.views;
        for (ptrdiff_t i = 0; i < fields.k; ++i) {
            const float *conf = fields.heatmap(i), *x = fields.place(i, 0), *y = fields.place(i, 1);
            const float* scale = fields.place(i, 2);
            for (ptrdiff_t cell = 0; cell < fields.h * fields.w; ++cell) {
                if (!(conf[cell] >= rules.least_peak && conf[cell] <= 1)) continue;
                if (!is_sound(x[cell]) || !is_sound(y[cell]) || !is_sound(scale[cell])) continue;
                const float sigma = std::max(1.f, 0.5f * scale[cell] * rules.stride);
                add(i, conf[cell] / neighbours, x[cell] * rules.stride, y[cell] * rules.stride, sigma);
            }
        }
    }

    // The value at the nearest pixel, or `beyond` outside the map.
    float at(ptrdiff_t keypoint, float x, float y, float beyond) const {
        if (!(x >= -0.5f && y >= -0.5f)) return beyond;
        const float u = x + 0.5f, v = y + 0.5f;
        if (u >= w || v >= h) return beyond;
        return values_[(keypoint * h + static_cast<ptrdiff_t>(v)) * w + static_cast<ptrdiff_t>(u)];
    }

    const ptrdiff_t h, w;

private:
    // Adds a Gaussian within one sigma, up to a sum of 1. Its exponential is (1 + x / 8)^8, as in the reference.
    void add(ptrdiff_t keypoint, float value, float x, float y, float sigma) {
        const auto first = [&](float place, ptrdiff_t size) {
            return std::clamp<ptrdiff_t>(static_cast<ptrdiff_t>(place - sigma), 0, size - 1);
        };
        const auto last = [&](float place, ptrdiff_t low, ptrdiff_t size) {
            return std::clamp<ptrdiff_t>(static_cast<ptrdiff_t>(place + sigma + 1), low + 1, size);
        };
        const ptrdiff_t left = first(x, w), right = last(x, left, w), top = first(y, h), bottom = last(y, top, h);
        for (ptrdiff_t v = top; v < bottom; ++v) {
            float* row = &values_[(keypoint * h + v) * w];
            const float down = (v - y) * (v - y);
            for (ptrdiff_t u = left; u < right; ++u) {
                const float across = (u - x) * (u - x);
                if (across + down > sigma * sigma) continue;
                float part = value;
                if (across >= 0.25f || down >= 0.25f) {
                    float power = 1 - 0.5f * (across + down) / (sigma * sigma) / 8;
                    for (int i = 0; i < 3; ++i) power *= power;
                    part *= power;
                }
                row[u] = std::min(1.f, row[u] + part);
            }
        }
    }

    std::vector<float> values_;
};

// Which places of a keypoint's map are taken, at half the resolution.
class Taken {
public:
    Taken(ptrdiff_t k, ptrdiff_t h, ptrdiff_t w) : h_((h + 1) / 2), w_((w + 1) / 2), cells_(k * h_ * w_) {}

    bool has(ptrdiff_t keypoint, const FieldJoint& joint) const {
        return cells_[(keypoint * h_ + cell(joint.y, h_)) * w_ + cell(joint.x, w_)];
    }

    void add(ptrdiff_t keypoint, const FieldJoint& joint) {
        const float reach = std::max(2.f, joint.scale / 2);
        const auto range = [&](float place, ptrdiff_t size) {
            const ptrdiff_t low = std::clamp<ptrdiff_t>(static_cast<ptrdiff_t>(place / 2 - reach), 0, size - 1);
            return std::pair(low, std::clamp<ptrdiff_t>(static_cast<ptrdiff_t>(place / 2 + reach), low + 1, size));
        };
        const auto [left, right] = range(joint.x, w_);
        const auto [top, bottom] = range(joint.y, h_);
        for (ptrdiff_t y = top; y < bottom; ++y) {
            uint8_t* row = &cells_[(keypoint * h_ + y) * w_];
            std::fill(row + left, row + right, uint8_t(1));
        }
    }

    void clear() { std::fill(cells_.begin(), cells_.end(), uint8_t(0)); }

private:
    static ptrdiff_t cell(float place, ptrdiff_t size) {
        return std::clamp<ptrdiff_t>(static_cast<ptrdiff_t>(std::floor(place / 2)), 0, size - 1);
    }

    ptrdiff_t h_, w_;
    std::vector<uint8_t> cells_;
};

// A vector of a limb's field from one end to the other, with the target's scale.
struct FieldArrow {
    float score, x, y, target_x, target_y, target_scale;
};

// Arrows in the order of their cells, found by the place where they start.
class Arrows {
public:
    explicit Arrows(std::vector<FieldArrow> arrows) : arrows_(std::move(arrows)) {
        for (size_t i = 0; i < arrows_.size(); ++i) columns_.push_back({arrows_[i].x, i});
        std::sort(columns_.begin(), columns_.end());
    }

    // Where the arrows that start near a keypoint lead, with the confidence as score: the mean of the best two if these
    // are alike, or the best one with half its confidence.
    FieldJoint target(const FieldJoint& from) const {
        const float scale = std::max(0.5f, from.scale), reach = 0.5f * scale, variance = 0.25f * scale * scale;
        size_t near[2] = {};
        float scores[2] = {};
        std::vector<size_t> found;
        const auto start = std::lower_bound(columns_.begin(), columns_.end(), std::pair(from.x - reach, size_t(0)));
        for (auto it = start; it != columns_.end() && it->first <= from.x + reach; ++it) found.push_back(it->second);
        std::sort(found.begin(), found.end());
        for (const size_t i : found) {
            const FieldArrow& arrow = arrows_[i];
            if (std::abs(arrow.y - from.y) > reach) continue;
            const float x = arrow.x - from.x, y = arrow.y - from.y;
            const float score = std::exp(-0.5f * (x * x + y * y) / variance) * arrow.score;
            if (score >= scores[0]) {
                scores[1] = scores[0], near[1] = near[0];
                scores[0] = score, near[0] = i;
            } else if (score > scores[1]) {
                scores[1] = score, near[1] = i;
            }
        }
        if (scores[0] == 0) return {};
        const FieldArrow &one = arrows_[near[0]], &other = arrows_[near[1]];
        const float size = std::max(0.f, one.target_scale);
        const FieldJoint best{0.5f * scores[0], one.target_x, one.target_y, size};
        if (scores[1] < 0.01f || scores[1] < 0.5f * scores[0]) return best;
        const float x = one.target_x - other.target_x, y = one.target_y - other.target_y;
        if (x * x + y * y > size * size / 4) return best;
        const float sum = scores[0] + scores[1];
        const auto mean = [&](float a, float b) { return (scores[0] * a + scores[1] * b) / sum; };
        return {0.5f * sum, mean(one.target_x, other.target_x), mean(one.target_y, other.target_y),
                mean(size, std::max(0.f, other.target_scale))};
    }

private:
    std::vector<FieldArrow> arrows_;
    std::vector<std::pair<float, size_t>> columns_;
};

}  // namespace detforge
