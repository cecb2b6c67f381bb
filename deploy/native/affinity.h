// Grouping of keypoints by part affinity fields: OpenPose (Cao et al., arXiv 1812.08008, section 3).
//
// The rules are those of a published port (tensorboy/pytorch_Realtime_Multi-Person_Pose_Estimation). Its peculiarities
// are reproduced; comments mark each of them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#include "cubic.h"
#include "joint.h"
#include "links.h"
#include "top.h"

namespace detforge {

// Heatmaps (k, h, w), and fields (limbs, 2, h, w) of vectors xy along each limb.
struct AffinityMaps {
    const float *heatmaps, *fields;
    ptrdiff_t k, h, w;

    Map heatmap(ptrdiff_t keypoint) const { return {heatmaps + keypoint * h * w, h, w}; }
    const float* field(ptrdiff_t limb) const { return fields + 2 * limb * h * w; }
};

struct AffinityRules {
    std::vector<std::pair<ptrdiff_t, ptrdiff_t>> limbs;  // the keypoints at the ends of each
    ptrdiff_t stride;
    size_t top_k, starts;  // the most peaks of a map, and the number of limbs that may start a person
    float least_peak, least_field, least_score;
    ptrdiff_t least_parts;
};

// One person: for each keypoint the index of its peak, or -1. The score is the sum over keypoints and limbs.
struct AffinityPerson {
    std::vector<ptrdiff_t> peaks;
    float score;
    ptrdiff_t count;
    bool is_gone;
};

class AffinityGrouping {
public:
    AffinityGrouping(const AffinityMaps& maps, const AffinityRules& rules) : maps_(maps), rules_(rules), enlarged_(rules.stride) {}

    // The people in the order in which they are created. Positions are whole px of the canvas.
    std::vector<AffinityPerson> operator()() {
        for (ptrdiff_t keypoint = 0; keypoint < maps_.k; ++keypoint) {
            starts_.push_back(peaks_.size());
            find_peaks(keypoint);
        }
        starts_.push_back(peaks_.size());
        holders_ = Holders(peaks_.size());
        for (size_t limb = 0; limb < rules_.limbs.size(); ++limb) {
            for (const Link& link : best_links(possible_links(limb), peaks_.size())) join(limb, link);
        }
        const auto is_poor = [&](const AffinityPerson& person) {
            return person.is_gone || person.count < rules_.least_parts || person.score / person.count < rules_.least_score;
        };
        people_.erase(std::remove_if(people_.begin(), people_.end(), is_poor), people_.end());
        return std::move(people_);
    }

    // A person's keypoint. Peculiarity: a merge may give an index beyond the peaks, which then is a missing keypoint.
    Joint joint(ptrdiff_t peak) const { return peak < 0 || peak >= count() ? Joint{} : peaks_[peak]; }

private:
    ptrdiff_t count() const { return peaks_.size(); }

    // The pixels above `least_peak` that none of the four neighbours exceeds, the `top_k` highest of them, row by row.
    // Each is refined to the highest pixel of its neighbourhood of 5x5 pixels, enlarged to px of the canvas.
    void find_peaks(ptrdiff_t keypoint) {
        constexpr ptrdiff_t reach = 2;
        const Map map = maps_.heatmap(keypoint);
        std::vector<Candidate> found;
        for (ptrdiff_t y = 0; y < map.h; ++y) {
            const float* row = map.values + y * map.w;
            for (ptrdiff_t x = 0; x < map.w; ++x) {
                const float value = row[x];
                if (!(value > rules_.least_peak)) continue;
                const bool is_top = !(x > 0 && row[x - 1] > value) && !(x + 1 < map.w && row[x + 1] > value) &&
                                    !(y > 0 && row[x - map.w] > value) && !(y + 1 < map.h && row[x + map.w] > value);
                if (is_top) found.push_back({value, y * map.w + x});
            }
        }
        if (found.size() > rules_.top_k) {
            std::stable_sort(found.begin(), found.end(), [](auto& a, auto& b) { return a.score > b.score; });
            found.resize(rules_.top_k);
            std::sort(found.begin(), found.end(), [](auto& a, auto& b) { return a.pixel < b.pixel; });
        }
        for (const Candidate& candidate : found) {
            const ptrdiff_t x = candidate.pixel % map.w, y = candidate.pixel / map.w;
            const ptrdiff_t left = std::max<ptrdiff_t>(x - reach, 0), top = std::max<ptrdiff_t>(y - reach, 0);
            const ptrdiff_t right = std::min(x + reach, map.w - 1), bottom = std::min(y + reach, map.h - 1);
            const Map part = enlarged_(map, left, top, bottom - top + 1, right - left + 1);
            const ptrdiff_t index = argmax(part.values, part.h * part.w);
            peaks_.push_back({static_cast<float>(left * rules_.stride + index % part.w),
                              static_cast<float>(top * rules_.stride + index / part.w), part.values[index]});
        }
    }

    // The links of a limb along which the field points from the first to the second peak, the best first. Two peaks may
    // be refined to one place, and their links are equal. The reference leaves their order to the sort of libstdc++.
    std::vector<Link> possible_links(size_t limb) const {
        const auto [first, second] = rules_.limbs[limb];
        std::vector<Link> links;
        for (ptrdiff_t a = starts_[first]; a < starts_[first + 1]; ++a) {
            for (ptrdiff_t b = starts_[second]; b < starts_[second + 1]; ++b) {
                const float x = peaks_[b].x - peaks_[a].x, y = peaks_[b].y - peaks_[a].y, length = std::hypot(x, y);
                if (a == b || length == 0) continue;
                const float score = along(limb, peaks_[a], x, y, length);
                if (score > 0) links.push_back({a, b, score, length, score});
            }
        }
        std::sort(links.begin(), links.end(), is_better);
        return links;
    }

    // The mean of the field's component along a limb at ten points, less for limbs longer than half the canvas' height.
    // It is 0 if fewer than seven points are above `least_field`. Peculiarity: the second peak is not one of the points.
    float along(size_t limb, const Joint& from, float x, float y, float length) const {
        constexpr int points = 10, misses = 3;
        const float *across = maps_.field(limb), *down = across + maps_.h * maps_.w;
        float sum = 0;
        int low = 0;
        for (int i = 0; i < points; ++i) {
            const ptrdiff_t u = nearest(from.x + i * (x / points)) / rules_.stride;
            const ptrdiff_t v = nearest(from.y + i * (y / points)) / rules_.stride;
            const ptrdiff_t cell = std::min(v, maps_.h - 1) * maps_.w + std::min(u, maps_.w - 1);
            const float value = finite(across[cell]) * (x / length) + finite(down[cell]) * (y / length);
            sum += value;
            low += !(value > rules_.least_field);
            if (low > misses) return 0;
        }
        return sum / points + std::min(0.f, 0.5f * static_cast<float>(maps_.h * rules_.stride) / length - 1);
    }

    // In doubles, as half px are common and a float's rounding would decide.
    static ptrdiff_t nearest(float place) { return static_cast<ptrdiff_t>(place + 0.5); }

    // Adds a link to the people that have one of its ends. Peculiarity: three or more people leave it unused.
    void join(size_t limb, const Link& link) {
        const auto [first, second] = rules_.limbs[limb];
        const std::vector<ptrdiff_t> found = holders_.of(link);
        if (found.size() == 1) {
            // Peculiarity: a link that is found by its second end does not add the first one.
            if (people_[found[0]].peaks[second] != link.second) extend(found[0], second, link);
        } else if (found.size() == 2) {
            // Peculiarity: of two people who share a keypoint, the first one's second end is replaced, and counts again.
            are_apart(people_[found[0]], people_[found[1]]) ? merge(found[0], found[1], link) : extend(found[0], second, link);
        } else if (found.empty() && limb < rules_.starts) {
            AffinityPerson person{std::vector<ptrdiff_t>(maps_.k, -1), static_cast<float>(link.score), 0, false};
            people_.push_back(std::move(person));
            for (const auto& [keypoint, peak] : {std::pair{first, link.first}, std::pair{second, link.second}}) {
                set(people_.size() - 1, keypoint, peak);
                people_.back().score += peaks_[peak].score;
                ++people_.back().count;
            }
        }
    }

    void extend(ptrdiff_t index, ptrdiff_t keypoint, const Link& link) {
        set(index, keypoint, link.second);
        ++people_[index].count;
        people_[index].score += peaks_[link.second].score + static_cast<float>(link.score);
    }

    // Peculiarity: the peak 0 is never in the way.
    static bool are_apart(const AffinityPerson& one, const AffinityPerson& other) {
        for (size_t i = 0; i < one.peaks.size(); ++i) {
            if (one.peaks[i] > 0 && other.peaks[i] > 0) return false;
        }
        return true;
    }

    // Peculiarity: the indices are added, which is wrong where one person has the peak 0 and the other one another peak.
    void merge(ptrdiff_t index, ptrdiff_t other, const Link& link) {
        AffinityPerson &one = people_[index], &gone = people_[other];
        for (ptrdiff_t i = 0; i < maps_.k; ++i) {
            const ptrdiff_t added = gone.peaks[i];
            set(other, i, -1);
            set(index, i, one.peaks[i] + added + 1);
        }
        one.count += gone.count;
        one.score += gone.score + static_cast<float>(link.score);
        gone.is_gone = true;
    }

    void set(ptrdiff_t index, ptrdiff_t keypoint, ptrdiff_t peak) {
        ptrdiff_t& own = people_[index].peaks[keypoint];
        if (is_of(own, keypoint)) holders_.remove(own, index);
        own = peak;
        if (is_of(own, keypoint)) holders_.add(own, index);
    }

    bool is_of(ptrdiff_t peak, ptrdiff_t keypoint) const { return peak >= starts_[keypoint] && peak < starts_[keypoint + 1]; }

    const AffinityMaps& maps_;
    const AffinityRules& rules_;
    Enlarged enlarged_;
    std::vector<Joint> peaks_;
    std::vector<ptrdiff_t> starts_;  // the first peak of each keypoint, and their number
    std::vector<AffinityPerson> people_;
    Holders holders_{0};
};

}  // namespace detforge
