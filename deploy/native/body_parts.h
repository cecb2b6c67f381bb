// Grouping of keypoints by maps of body parts: Improved Body Parts (Li et al., arXiv 1911.10529, section 3.3).
//
// The peculiarities of the authors' code are reproduced; comments mark each of them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include "enlarged_maps.h"
#include "joint.h"
#include "links.h"
#include "parallel.h"
#include "top.h"

namespace detforge {

struct PartRules {
    std::vector<std::pair<ptrdiff_t, ptrdiff_t>> limbs;  // the keypoints at the ends of each
    ptrdiff_t keypoints;  // whose maps follow those of the limbs
    size_t top_k;         // the most peaks of a map
    float least_peak, least_limb;
};

// A keypoint of a person: the index of its peak, or -1, and the score of the limb that it came with.
struct PartOf {
    ptrdiff_t peak = -1;
    double score = -1;
};

struct PartPerson {
    std::vector<PartOf> parts;
    double total, longest;  // the sum of scores, and the length of the longest limb
    ptrdiff_t count;
    bool is_gone;
};

// Rounds half to even like nearbyint, but in two additions: a double near 1.5 * 2^52 has no fraction bits.
DETFORGE_INLINE double even(double value) { return (value + 6755399441055744.0) - 6755399441055744.0; }

constexpr ptrdiff_t line_points = 20;

// The pixels along one axis at which a line is looked at.
DETFORGE_CLONES static void line_pixels(double from, double step, int32_t* out) {
    for (int32_t i = 0; i < line_points; ++i) out[i] = static_cast<int32_t>(even(i * step + from));
}

// Marks the pixels of a row that are at least `least`, and not below those above and below them.
DETFORGE_CLONES static void mark_ridges(const float* row, const float* above, const float* below, ptrdiff_t count, float least,
                                        uint8_t* out) {
    for (ptrdiff_t i = 0; i < count; ++i) {
        out[i] = (row[i] >= least) & (row[i] <= 1e30f) & !(above[i] > row[i]) & !(below[i] > row[i]);
    }
}

class PartGrouping {
public:
    PartGrouping(const EnlargedMaps& maps, const PartRules& rules) : maps_(maps), rules_(rules) {}

    // The people in the order in which they are created, found with at most this number of threads.
    std::vector<PartPerson> operator()(size_t threads) {
        std::vector<std::vector<Point>> found(rules_.keypoints);
        parallel(found.size(), threads, [&] {
            return [&, map = FilledMap()](size_t keypoint) mutable { found[keypoint] = find_peaks(keypoint, map); };
        });
        for (const std::vector<Point>& peaks : found) {
            starts_.push_back(peaks_.size());
            peaks_.insert(peaks_.end(), peaks.begin(), peaks.end());
        }
        starts_.push_back(peaks_.size());
        std::vector<std::vector<Link>> links(rules_.limbs.size());
        parallel(links.size(), threads, [&] {
            return [&, map = TallMap()](size_t limb) mutable { links[limb] = best_links(possible_links(limb, map), peaks_.size()); };
        });
        holders_ = Holders(peaks_.size());
        for (size_t limb = 0; limb < links.size(); ++limb) {
            for (const Link& link : links[limb]) join(limb, link);
        }
        const auto is_poor = [](const PartPerson& person) {
            return person.is_gone || person.count < 2 || person.total / person.count < 0.45;
        };
        people_.erase(std::remove_if(people_.begin(), people_.end(), is_poor), people_.end());
        return std::move(people_);
    }

    Joint joint(ptrdiff_t peak) const {
        if (peak < 0) return {};
        const Point& point = peaks_[peak];
        return {static_cast<float>(point.x), static_cast<float>(point.y), static_cast<float>(point.score)};
    }

private:
    struct Point {
        double x, y, score;
    };

    // The pixels of at least `least_peak` that no neighbour exceeds, the `top_k` highest of them, row by row.
    std::vector<Point> find_peaks(ptrdiff_t keypoint, FilledMap& map) const {
        constexpr ptrdiff_t reach = 2;
        const ptrdiff_t h = maps_.h, w = maps_.w;
        maps_.fill(rules_.limbs.size() + keypoint, rules_.least_peak, reach, map);
        std::vector<uint8_t> ridges(w);
        std::vector<Candidate> found;
        for (const auto& [y, x, size] : map.parts) {
            const float* own = &map.values[y * w + x];
            mark_ridges(own, y > 0 ? own - w : own, y + 1 < h ? own + w : own, size, rules_.least_peak, ridges.data());
            for (ptrdiff_t i = next_mark(ridges.data(), 1, 0, size); i < size; i = next_mark(ridges.data(), 1, i + 1, size)) {
                if (is_top(map.values.get(), y, x + i)) found.push_back({own[i], y * w + x + i});
            }
        }
        if (found.size() > rules_.top_k) {
            std::stable_sort(found.begin(), found.end(), [](auto& a, auto& b) { return a.score > b.score; });
            found.resize(rules_.top_k);
            std::sort(found.begin(), found.end(), [](auto& a, auto& b) { return a.pixel < b.pixel; });
        }
        std::vector<Point> peaks;
        for (const Candidate& each : found) peaks.push_back(refined(map.values.get(), each.pixel / w, each.pixel % w));
        return peaks;
    }

    bool is_top(const float* values, ptrdiff_t y, ptrdiff_t x) const {
        const float value = values[y * maps_.w + x];
        for (ptrdiff_t v = std::max<ptrdiff_t>(y - 1, 0); v <= std::min(y + 1, maps_.h - 1); ++v) {
            for (ptrdiff_t u = std::max<ptrdiff_t>(x - 1, 0); u <= std::min(x + 1, maps_.w - 1); ++u) {
                if (values[v * maps_.w + u] > value) return false;
            }
        }
        return true;
    }

    // The centre of gravity of the 5x5 pixels around a peak, and their mean as its score. Peculiarities: the shifts along
    // both axes are exchanged, and peaks near the border are left as they are.
    Point refined(const float* values, ptrdiff_t y, ptrdiff_t x) const {
        constexpr ptrdiff_t reach = 2;
        const Point raw{double(x), double(y), values[y * maps_.w + x]};
        if (x < reach || y < reach || x + reach >= maps_.w || y + reach >= maps_.h) return raw;
        double sum = 0, across = 0, down = 0;
        for (ptrdiff_t v = -reach; v <= reach; ++v) {
            for (ptrdiff_t u = -reach; u <= reach; ++u) {
                const double value = finite(values[(y + v) * maps_.w + x + u]);
                sum += value;
                across += u * value;
                down += v * value;
            }
        }
        // Negative values around a peak may leave nothing, or a centre that is elsewhere.
        if (!(std::abs(across) <= reach * sum && std::abs(down) <= reach * sum)) return raw;
        return {x + down / sum, y + across / sum, sum / 25};
    }

    // The links of a limb whose map is high between two peaks, the best first.
    std::vector<Link> possible_links(size_t limb, TallMap& map) const {
        const auto [first, second] = rules_.limbs[limb];
        double top = maps_.h - 1, bottom = 0;  // between which all links are
        for (const ptrdiff_t keypoint : {first, second}) {
            for (ptrdiff_t i = starts_[keypoint]; i < starts_[keypoint + 1]; ++i) {
                top = std::min(top, std::floor(peaks_[i].y));
                bottom = std::max(bottom, std::ceil(peaks_[i].y));
            }
        }
        maps_.heighten(limb, static_cast<ptrdiff_t>(top), static_cast<ptrdiff_t>(bottom), map);
        std::vector<Link> links;
        for (ptrdiff_t a = starts_[first]; a < starts_[first + 1]; ++a) {
            for (ptrdiff_t b = starts_[second]; b < starts_[second + 1]; ++b) {
                const double x = peaks_[b].x - peaks_[a].x, y = peaks_[b].y - peaks_[a].y, length = std::sqrt(x * x + y * y);
                if (a == b || length == 0) continue;
                const double score = between(map, peaks_[a], peaks_[b], length);
                const double rank = 0.5 * score + 0.25 * (peaks_[a].score + peaks_[b].score);
                if (score > 0) links.push_back({a, b, score, length, rank});
            }
        }
        std::stable_sort(links.begin(), links.end(), is_better);
        return links;
    }

    // The mean of a limb's map at up to 20 points, less for limbs longer than half the height. It is 0 if less than four
    // fifths of them are above `least_limb`. Half px are rounded to even ones, as in Python.
    double between(const TallMap& map, const Point& from, const Point& to, double length) const {
        const ptrdiff_t count = static_cast<ptrdiff_t>(std::min<double>(even(length + 1), line_points));
        const ptrdiff_t allowed = count - (4 * count + 4) / 5;  // misses
        const double steps = std::max<ptrdiff_t>(count - 1, 1);
        int32_t rows[line_points], columns[line_points];
        line_pixels(from.y, (to.y - from.y) / steps, rows);
        line_pixels(from.x, (to.x - from.x) / steps, columns);
        if (count > 1) rows[count - 1] = static_cast<int32_t>(even(to.y));
        if (count > 1) columns[count - 1] = static_cast<int32_t>(even(to.x));
        float values[line_points];
        ptrdiff_t misses = 0;
        const auto is_missed = [&](auto size, ptrdiff_t first) {
            map.at<size>(rows + first, columns + first, values + first);
            for (ptrdiff_t i = first; i < first + size; ++i) misses += !(values[i] > rules_.least_limb);
            return misses > allowed;
        };
        if (count == line_points) {  // most pairs are not linked, and have nothing between them: the middle comes first
            for (const ptrdiff_t first : {5, 10, 15, 0}) {
                if (is_missed(std::integral_constant<ptrdiff_t, 5>(), first)) return 0;
            }
        } else {
            for (ptrdiff_t i = 0; i < count; ++i) {
                if (is_missed(std::integral_constant<ptrdiff_t, 1>(), i)) return 0;
            }
        }
        double sum = 0;
        for (ptrdiff_t i = 0; i < count; ++i) sum += finite(values[i]);
        return sum / count + std::min(0.5 * maps_.h / length - 1, 0.0);
    }

    // Adds a link to the people that have one of its ends. Peculiarity: a third person is overlooked.
    void join(size_t limb, const Link& link) {
        const auto [first, second] = rules_.limbs[limb];
        const std::vector<ptrdiff_t> found = holders_.of(link);
        if (found.size() == 1) {
            extend(found[0], second, link);
        } else if (found.size() >= 2) {
            merge(found[0], found[1], link);
        } else {
            const double total = peaks_[link.first].score + peaks_[link.second].score + link.score;
            people_.push_back({std::vector<PartOf>(rules_.keypoints), total, link.length, 2, false});
            set(people_.size() - 1, first, {link.first, link.score});
            set(people_.size() - 1, second, {link.second, link.score});
        }
    }

    // Peculiarity: a link that is found by its second end does not add the first one.
    void extend(ptrdiff_t index, ptrdiff_t keypoint, const Link& link) {
        PartPerson& person = people_[index];
        const PartOf own = person.parts[keypoint];
        const bool is_short = length_factor * person.longest > link.length;
        if (own.peak < 0) {
            if (!is_short) return;
            ++person.count;
        } else if (own.peak == link.second) {
            if (own.score > link.score) return;
            person.total -= peaks_[own.peak].score + own.score;
        } else {
            if (own.score >= link.score || !is_short) return;
            person.total -= peaks_[own.peak].score + own.score;
        }
        set(index, keypoint, {link.second, link.score});
        person.total += peaks_[link.second].score + link.score;
        person.longest = std::max(person.longest, link.length);
    }

    // Two people who share no keypoint become one if the link is as good as their own, and not too long.
    void merge(ptrdiff_t index, ptrdiff_t other, const Link& link) {
        PartPerson &one = people_[index], &gone = people_[other];
        double least = HUGE_VAL;
        for (ptrdiff_t i = 0; i < rules_.keypoints; ++i) {
            if (one.parts[i].peak >= 0 && gone.parts[i].peak >= 0) return;
            for (const PartOf& part : {one.parts[i], gone.parts[i]}) {
                if (part.peak >= 0) least = std::min(least, part.score);
            }
        }
        constexpr double tolerance = 0.7;
        if (link.score < tolerance * least || length_factor * one.longest <= link.length) return;
        for (ptrdiff_t i = 0; i < rules_.keypoints; ++i) {
            const PartOf part = gone.parts[i];
            if (part.peak < 0) continue;
            set(other, i, {});
            set(index, i, part);
        }
        one.total += gone.total + link.score;
        one.count += gone.count;
        one.longest = std::max(one.longest, link.length);
        gone.is_gone = true;
    }

    void set(ptrdiff_t index, ptrdiff_t keypoint, PartOf part) {
        PartOf& own = people_[index].parts[keypoint];
        if (own.peak >= 0) holders_.remove(own.peak, index);
        own = part;
        if (own.peak >= 0) holders_.add(own.peak, index);
    }

    static constexpr double length_factor = 16;

    const EnlargedMaps& maps_;
    const PartRules& rules_;
    std::vector<Point> peaks_;
    std::vector<ptrdiff_t> starts_;  // the first peak of each keypoint, and their number
    std::vector<PartPerson> people_;
    Holders holders_{0};
};

}  // namespace detforge
