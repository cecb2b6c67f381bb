// A spatial index of kept boxes, to find those that overlap a given box without a full scan.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "../../plugins/core/simd.h"

namespace detforge {

struct Box {
    float x1, y1, x2, y2;
};

// In double, because the area may overflow a float.
DETFORGE_INLINE double area(const Box& box) {
    return (static_cast<double>(box.x2) - box.x1) * (static_cast<double>(box.y2) - box.y1);
}

// Intersection over union; 0 if the boxes do not intersect, or if a side is NaN or infinite.
DETFORGE_INLINE double iou(const Box& a, const Box& b) {
    const double w = static_cast<double>(std::min(a.x2, b.x2)) - std::max(a.x1, b.x1);
    const double h = static_cast<double>(std::min(a.y2, b.y2)) - std::max(a.y1, b.y1);
    if (!(w > 0 && h > 0)) return 0;
    const double shared = w * h, all = area(a) + area(b) - shared;
    return all > 0 && std::isfinite(all) ? shared / all : 0;
}

// The area as float for the coarse comparison, clamped so that the sum of two stays finite. Where it is inexact, it is
// too small, never too large.
DETFORGE_INLINE float area_in_range(const Box& box) {
    using Limits = std::numeric_limits<float>;
    return static_cast<float>(std::min<double>(area(box), Limits::max() / 2) - Limits::min());
}

// Eight boxes as a structure of arrays. Unused entries overlap nothing.
struct Block {
    static constexpr int kBoxes = 8;
    float x1[kBoxes], y1[kBoxes], x2[kBoxes], y2[kBoxes], area[kBoxes];
    int64_t label[kBoxes];
    int32_t count, next;
};

// Whether any box of the label overlaps by more than the threshold. The boxes are those of a chain of blocks, or of all
// blocks from `first` down. Eight are compared at once in float with a margin, and possible overlaps again in double.
DETFORGE_CLONES static bool overlaps_any(const Block* blocks, int32_t first, bool chained, const Box& box, int64_t label,
                                         double threshold) {
    const float own = area_in_range(box), least = static_cast<float>(threshold * (1 - 1e-5));
    for (int32_t at = first; at >= 0; at = chained ? blocks[at].next : at - 1) {
        const Block& block = blocks[at];
        int32_t suspect[Block::kBoxes], any = 0;
        for (int i = 0; i < Block::kBoxes; ++i) {
            const float w = std::min(block.x2[i], box.x2) - std::max(block.x1[i], box.x1);
            const float h = std::min(block.y2[i], box.y2) - std::max(block.y1[i], box.y1);
            const float shared = w * h;
            suspect[i] = (w > 0) & (h > 0) & !(shared < least * (block.area[i] + own - shared));
            any |= suspect[i];
        }
        if (!any) continue;
        for (int i = 0; i < Block::kBoxes; ++i) {
            if (!suspect[i] || block.label[i] != label) continue;
            if (iou({block.x1[i], block.y1[i], block.x2[i], block.y2[i]}, box) > threshold) return true;
        }
    }
    return false;
}

// A box is stored in a cell given by its label, its level (the power of two above its longer side), and the position of
// its centre on a grid of that size. The IoU of two boxes is at most the IoU of their extents on either axis. For sides
// a and b that exceeds t only if a > t b and the centres are less than (a + b) / 2 * (1 - t) / (1 + t) apart, so a
// query visits few cells. While there are few boxes, each label has one cell.
class BoxIndex {
public:
    BoxIndex(size_t most, double threshold) : most_(most), threshold_(threshold), heads_(256, -1) {}

    void add(const Box& box, int64_t label) {
        if (!is_solid(box)) return;
        if (is_flat_) {
            put(box, label, slot(label, 0, 0, 0));
            if (blocks_.size() > kFew) sort();
            return;
        }
        const int level = level_of(side(box));
        lowest_ = std::min(lowest_, level);
        highest_ = std::max(highest_, level);
        put(box, label, slot(label, level, cell(centre(box.x1, box.x2), level), cell(centre(box.y1, box.y2), level)));
    }

    // Whether a stored box of the label overlaps by more than the threshold.
    bool overlaps(const Box& box, int64_t label) const {
        if (!is_solid(box)) return false;
        if (is_flat_) return is_on(slot(label, 0, 0, 0), box, label);
        const double slack = 1 + 1e-6, part = (1 - threshold_) / (1 + threshold_) / 2 * slack;
        for (int level = lowest_; level <= highest_; ++level) {
            const double most = std::ldexp(1, level);  // longer sides of this level are in [most / 2, most)
            if (most * slack < side(box) * threshold_ || side(box) * slack < most / 2 * threshold_) continue;
            const Range columns(box.x1, box.x2, most, threshold_, part), rows(box.y1, box.y2, most, threshold_, part);
            if (columns.count() * rows.count() > static_cast<double>(blocks_.size())) {
                return overlaps_any(blocks_.data(), static_cast<int32_t>(blocks_.size()) - 1, false, box, label, threshold_);
            }
            for (int64_t y = rows.first(); y <= rows.last(); ++y) {
                for (int64_t x = columns.first(); x <= columns.last(); ++x) {
                    if (is_on(slot(label, level, x, y), box, label)) return true;
                }
            }
        }
        return false;
    }

private:
    static constexpr size_t kFew = 32;  // blocks; scanning them is as fast as visiting the cells

    // The cells on one axis that may hold the centres of overlapping boxes.
    struct Range {
        double low, high;
        Range(float from, float to, double most, double threshold, double part) {
            const double own = static_cast<double>(to) - from, reach = (own + std::min(most, own / threshold)) * part;
            low = std::floor((centre(from, to) - reach) / most);
            high = std::floor((centre(from, to) + reach) / most);
        }
        double count() const { return high - low + 1; }
        int64_t first() const { return static_cast<int64_t>(low); }
        int64_t last() const { return static_cast<int64_t>(high); }
    };

    // Switches from one slot per label to one slot per cell.
    void sort() {
        is_flat_ = false;
        size_t size = heads_.size();
        while (size < 2 * most_) size *= 2;
        heads_.assign(size, -1);
        for (const Block& block : std::exchange(blocks_, {})) {
            for (int i = 0; i < block.count; ++i) add({block.x1[i], block.y1[i], block.x2[i], block.y2[i]}, block.label[i]);
        }
    }

    // Empty, NaN or infinite boxes overlap nothing.
    static bool is_solid(const Box& box) { return box.x2 > box.x1 && box.y2 > box.y1 && std::isfinite(side(box)); }
    static double side(const Box& box) {
        return std::max(static_cast<double>(box.x2) - box.x1, static_cast<double>(box.y2) - box.y1);
    }
    static double centre(float low, float high) { return (static_cast<double>(low) + high) / 2; }
    static int level_of(double side) { return std::ilogb(side) + 1; }
    static int64_t cell(double place, int level) { return static_cast<int64_t>(std::floor(std::ldexp(place, -level))); }

    // Hash collisions cost time but do not change results.
    size_t slot(int64_t label, int level, int64_t x, int64_t y) const {
        uint64_t hash = static_cast<uint64_t>(label) * 0x9e3779b97f4a7c15u + static_cast<uint64_t>(level);
        for (const int64_t at : {x, y}) hash = (hash ^ static_cast<uint64_t>(at)) * 0xff51afd7ed558ccdu;
        return (hash ^ hash >> 32) & (heads_.size() - 1);
    }

    bool is_on(size_t slot, const Box& box, int64_t label) const {
        return heads_[slot] >= 0 && overlaps_any(blocks_.data(), heads_[slot], true, box, label, threshold_);
    }

    void put(const Box& box, int64_t label, size_t slot) {
        int32_t& head = heads_[slot];
        if (head < 0 || blocks_[head].count == Block::kBoxes) {
            Block block{};
            std::fill_n(block.x1, Block::kBoxes, std::numeric_limits<float>::infinity());
            block.next = head;
            head = static_cast<int32_t>(blocks_.size());
            blocks_.push_back(block);
        }
        Block& block = blocks_[head];
        const int i = block.count++;
        block.x1[i] = box.x1;
        block.y1[i] = box.y1;
        block.x2[i] = box.x2;
        block.y2[i] = box.y2;
        block.area[i] = area_in_range(box);
        block.label[i] = label;
    }

    size_t most_;
    double threshold_;
    bool is_flat_ = true;
    int lowest_ = std::numeric_limits<int>::max(), highest_ = std::numeric_limits<int>::min();
    std::vector<int32_t> heads_;
    std::vector<Block> blocks_;
};

}  // namespace detforge
