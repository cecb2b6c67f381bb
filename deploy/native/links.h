// Links between peaks of two keypoint types, and the people that they form.
#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <vector>

namespace detforge {

// A possible limb between the peaks `first` and `second`, with its length in px. The best `rank` is chosen first.
struct Link {
    ptrdiff_t first, second;
    double score, length, rank;
};

constexpr auto is_better = [](const Link& a, const Link& b) { return a.rank > b.rank; };

// The best of a limb's sorted links, so that each of `count` peaks has one at most.
inline std::vector<Link> best_links(const std::vector<Link>& links, size_t count) {
    std::vector<char> used(count);
    std::vector<Link> best;
    for (const Link& link : links) {
        if (used[link.first] || used[link.second]) continue;
        used[link.first] = used[link.second] = 1;
        best.push_back(link);
    }
    return best;
}

// The people that have each peak, so that a link finds them without a search. People are numbered as they are created.
class Holders {
public:
    explicit Holders(size_t peaks) : people_(peaks) {}

    void add(ptrdiff_t peak, ptrdiff_t person) {
        std::vector<ptrdiff_t>& own = people_[peak];
        own.insert(std::lower_bound(own.begin(), own.end(), person), person);
    }

    void remove(ptrdiff_t peak, ptrdiff_t person) {
        std::vector<ptrdiff_t>& own = people_[peak];
        const auto place = std::lower_bound(own.begin(), own.end(), person);
        if (place != own.end() && *place == person) own.erase(place);
    }

    // The people that have either end of a link, in their order.
    std::vector<ptrdiff_t> of(const Link& link) const {
        const std::vector<ptrdiff_t>&one = people_[link.first], &other = people_[link.second];
        std::vector<ptrdiff_t> both;
        std::set_union(one.begin(), one.end(), other.begin(), other.end(), std::back_inserter(both));
        return both;
    }

private:
    std::vector<std::vector<ptrdiff_t>> people_;
};

}  // namespace detforge
