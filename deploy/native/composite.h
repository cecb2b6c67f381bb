// Grouping of keypoints by composite fields: PifPaf (Kreiss et al., arXiv 1903.06593 and 2103.02440).
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <queue>
#include <set>
#include <utility>
#include <vector>

#include "composite_fields.h"

namespace detforge {

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
