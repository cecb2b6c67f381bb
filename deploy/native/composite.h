// Grouping of keypoints by composite fields: PifPaf (Kreiss et al., arXiv 1903.06593 and 2103.02440).
//
// A field gives each cell a confidence, one or two positions and as many scales. Lengths are in px of the canvas.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <queue>
#include <set>
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

class CompositeGrouping {
public:
    CompositeGrouping(const CompositeFields& fields, const CompositeRules& rules)
        : fields_(fields), rules_(rules), fine_(fields, rules), links_(fields.k) {
        for (size_t limb = 0; limb < rules.limbs.size(); ++limb) {
            const auto [first, second] = rules.limbs[limb];
            std::vector<FieldArrow> forward, backward;
            collect(limb, forward, backward);
            arrows_.emplace_back(std::move(forward));
            arrows_.emplace_back(std::move(backward));
            links_[first].push_back({second, 2 * limb});
            links_[second].push_back({first, 2 * limb + 1});
        }
    }

    // The people, best first.
    std::vector<FieldPerson> operator()() {
        Taken taken(fields_.k, fine_.h, fine_.w);
        std::vector<FieldPerson> people;
        for (const auto& [keypoint, joint] : seeds()) {
            if (taken.has(keypoint, joint)) continue;
            FieldPerson person(fields_.k);
            person[keypoint] = joint;
            grow(person, keypoint);
            for (ptrdiff_t i = 0; i < fields_.k; ++i) {
                if (person[i].score > 0) taken.add(i, person[i]);
            }
            people.push_back(std::move(person));
        }
        suppress(people, taken);
        return people;
    }

    static float score(const FieldPerson& person) {
        float sum = 0;
        for (const FieldJoint& joint : person) sum += joint.score;
        return sum / person.size();
    }

private:
    struct Edge {
        ptrdiff_t to;
        size_t arrows;  // the index of those that lead there; those that lead back are index ^ 1
    };

    // The cells of keypoints that start people, best first.
    std::vector<std::pair<ptrdiff_t, FieldJoint>> seeds() const {
        std::vector<std::pair<ptrdiff_t, FieldJoint>> found;
        for (ptrdiff_t i = 0; i < fields_.k; ++i) {
            const float *conf = fields_.heatmap(i), *x = fields_.place(i, 0), *y = fields_.place(i, 1);
            const float* scale = fields_.place(i, 2);
            for (ptrdiff_t cell = 0; cell < fields_.h * fields_.w; ++cell) {
                if (!(conf[cell] >= rules_.least_seed && conf[cell] <= 1)) continue;
                if (!is_sound(x[cell]) || !is_sound(y[cell]) || !is_sound(scale[cell])) continue;
                FieldJoint joint{0, x[cell] * rules_.stride, y[cell] * rules_.stride, scale[cell] * rules_.stride};
                joint.score = 0.9f * fine_.at(i, joint.x, joint.y, -1) + 0.1f * conf[cell];
                if (joint.score >= rules_.least_seed) found.push_back({i, joint});
            }
        }
        const auto is_better = [](const auto& a, const auto& b) { return a.second.score > b.second.score; };
        std::stable_sort(found.begin(), found.end(), is_better);
        if (found.size() > rules_.most) found.resize(rules_.most);
        return found;
    }

    // A limb's vectors in both directions. A confidence is lower if the fine map of the target is.
    void collect(size_t limb, std::vector<FieldArrow>& forward, std::vector<FieldArrow>& backward) const {
        const float* confs = fields_.limb(limb);
        std::array<const float*, 6> part;
        for (ptrdiff_t i = 0; i < 6; ++i) part[i] = fields_.end(limb, i);
        const auto [first, second] = rules_.limbs[limb];
        for (ptrdiff_t cell = 0; cell < fields_.h * fields_.w; ++cell) {
            const float conf = confs[cell];
            if (!(conf >= rules_.least_peak && conf <= 1)) continue;
            bool sound = true;
            for (ptrdiff_t i = 0; i < 6; ++i) sound &= is_sound(part[i][cell]);
            if (!sound) continue;
            const auto px = [&](ptrdiff_t i) { return part[i][cell] * rules_.stride; };
            const auto rated = [&](ptrdiff_t keypoint, float x, float y) {
                return conf * (0.1f + 0.9f * fine_.at(keypoint, x, y, 0));
            };
            const float there = rated(second, px(2), px(3)), back = rated(first, px(0), px(1));
            if (there > rules_.least_peak) forward.push_back({there, px(0), px(1), px(2), px(3), px(5)});
            if (back > rules_.least_peak) backward.push_back({back, px(2), px(3), px(0), px(1), px(4)});
        }
    }

    // Adds keypoints along the limbs, the most certain one first.
    void grow(FieldPerson& person, ptrdiff_t seed) const {
        struct Entry {
            float bound;
            bool known;
            ptrdiff_t from;
            Edge edge;
            FieldJoint joint;
            bool operator<(const Entry& other) const { return bound < other.bound; }
        };
        std::priority_queue<Entry> frontier;
        std::set<std::pair<ptrdiff_t, ptrdiff_t>> tried;
        const auto look_around = [&](ptrdiff_t from) {
            for (const Edge& edge : links_[from]) {
                if (person[edge.to].score > 0 || !tried.insert({from, edge.to}).second) continue;
                frontier.push({std::sqrt(person[from].score), false, from, edge, {}});
            }
        };
        look_around(seed);
        while (!frontier.empty()) {
            Entry entry = frontier.top();
            frontier.pop();
            if (person[entry.edge.to].score > 0) continue;
            if (entry.known) {
                person[entry.edge.to] = entry.joint;
                look_around(entry.edge.to);
                continue;
            }
            entry.joint = linked(person[entry.from], entry.edge);
            if (entry.joint.score == 0) continue;
            entry.bound = entry.joint.score;
            entry.known = true;
            frontier.push(entry);
        }
    }

    // The keypoint at the other end of a limb; its score is 0 if the field of the way back leads elsewhere.
    FieldJoint linked(const FieldJoint& from, const Edge& edge) const {
        FieldJoint joint = arrows_[edge.arrows].target(from);
        if (joint.score == 0) return {};
        joint.score = std::sqrt(joint.score * from.score);
        if (joint.score < rules_.least_keypoint || joint.score < 0.5f * from.score) return {};
        const FieldJoint back = arrows_[edge.arrows ^ 1].target(joint);
        if (back.score == 0 || std::abs(from.x - back.x) + std::abs(from.y - back.y) > from.scale) return {};
        return joint;
    }

    // Removes keypoints that a better person has, and then weak ones and weak people.
    void suppress(std::vector<FieldPerson>& people, Taken& taken) const {
        const auto best_first = [&] {
            std::stable_sort(people.begin(), people.end(), [](const auto& a, const auto& b) { return score(a) > score(b); });
        };
        taken.clear();
        best_first();
        for (FieldPerson& person : people) {
            for (ptrdiff_t i = 0; i < fields_.k; ++i) {
                if (!(person[i].score > 0)) continue;
                if (taken.has(i, person[i])) {
                    person[i].score *= 1e-5f;
                } else {
                    taken.add(i, person[i]);
                }
            }
        }
        for (FieldPerson& person : people) {
            for (FieldJoint& joint : person) {
                if (!(joint.score > rules_.least_keypoint)) joint = {};
            }
        }
        const auto is_weak = [&](const FieldPerson& person) { return score(person) < rules_.least_person; };
        people.erase(std::remove_if(people.begin(), people.end(), is_weak), people.end());
        best_first();
    }

    const CompositeFields& fields_;
    const CompositeRules& rules_;
    FineMaps fine_;
    std::vector<Arrows> arrows_;
    std::vector<std::vector<Edge>> links_;
};

}  // namespace detforge
