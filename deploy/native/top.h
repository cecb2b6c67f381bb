// The largest of many values, in the order of torch.topk.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace detforge {

struct Candidate {
    float score;
    ptrdiff_t pixel;
};

// Puts a value into the position `hole` of a min-heap: the hole moves down along the smaller children to a leaf, and
// the value moves up from there.
inline void sift(std::vector<Candidate>& heap, size_t hole, size_t length, Candidate value) {
    const size_t top = hole;
    while (2 * hole + 2 < length) {
        const size_t right = 2 * hole + 2, lesser = heap[right].score > heap[right - 1].score ? right - 1 : right;
        heap[hole] = heap[lesser];
        hole = lesser;
    }
    if (2 * hole + 2 == length) {
        heap[hole] = heap[2 * hole + 1];
        hole = 2 * hole + 1;
    }
    for (size_t parent = (hole - 1) / 2; hole > top && heap[parent].score > value.score; parent = (hole - 1) / 2) {
        heap[hole] = heap[parent];
        hole = parent;
    }
    heap[hole] = value;
}

// The `count` largest scores of n pixels, best first. Ties are resolved as by the partial sort of libstdc++, which
// torch.topk uses if n is at least 64 * count, because the reference results depend on it. `bound` is an upper bound of
// positive scores that is cheaper to evaluate.
template <typename Score>
std::vector<Candidate> largest_scores(const float* bound, ptrdiff_t n, size_t count, Score score) {
    std::vector<Candidate> heap;
    ptrdiff_t pixel = 0;
    for (; pixel < n && heap.size() < count; ++pixel) heap.push_back({score(pixel), pixel});
    for (size_t i = heap.size() / 2; i-- > 0;) sift(heap, i, heap.size(), heap[i]);
    constexpr ptrdiff_t run = 64;
    while (pixel < n) {
        const ptrdiff_t end = std::min(pixel + run, n);
        const float least = heap[0].score;
        int above = least < 0;  // most of a map is background, and whole runs of it are skipped
        for (ptrdiff_t i = pixel; i < end; ++i) above |= bound[i] > least;
        for (; above && pixel < end; ++pixel) {
            if (!(bound[pixel] > heap[0].score) && heap[0].score >= 0) continue;
            const Candidate candidate{score(pixel), pixel};
            if (candidate.score > heap[0].score) sift(heap, 0, heap.size(), candidate);
        }
        pixel = end;
    }
    for (size_t last = heap.size(); last-- > 1;) {
        const Candidate value = heap[last];
        heap[last] = heap[0];
        sift(heap, 0, last, value);
    }
    return heap;
}

}  // namespace detforge
