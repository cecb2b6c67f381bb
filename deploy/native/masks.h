// Masks that are stretched over boxes of an image, and COCO's run lengths of them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace detforge {

// Those of columns/masks.py.
enum class Paste { exact, whole, cells };

// The pixels from `first` on of one axis of an image, and the two cells of a mask between which each lies: cell[i], with
// the weight near[i], and the one after it, with far[i]. Cell 0 and the one after the last are an empty border.
struct PixelCells {
    ptrdiff_t first = 0;
    std::vector<int32_t> cell;
    std::vector<double> near, far;

    PixelCells(Paste paste, float low, float high, ptrdiff_t size, ptrdiff_t cells) {
        low = limited(low);
        high = limited(high);
        if (paste == Paste::exact) exact(low, high, size, cells);
        if (paste == Paste::whole) whole(low, high, size, cells);
        if (paste == Paste::cells) nearest(low, high, size, cells);
    }

    ptrdiff_t count() const { return static_cast<ptrdiff_t>(cell.size()); }

private:
    static float limited(float side) { return std::isnan(side) ? 0 : std::clamp(side, -1e6f, 1e6f); }

    static ptrdiff_t in_image(double side, ptrdiff_t size) {
        return static_cast<ptrdiff_t>(std::clamp(side, 0.0, static_cast<double>(size)));
    }

    // Adds a pixel at a place among cells, whose border counts.
    void add(double place, ptrdiff_t cells) {
        const double left = std::floor(place);
        const bool is_inside = left >= 0 && left <= cells + 1;
        const double start = is_inside ? std::min(left, static_cast<double>(cells)) : 0;
        cell.push_back(static_cast<int32_t>(start));
        near.push_back(is_inside ? std::max(0.0, 1 - std::abs(place - start)) : 0);
        far.push_back(is_inside ? std::max(0.0, 1 - std::abs(place - start - 1)) : 0);
    }

    void exact(float low, float high, ptrdiff_t size, ptrdiff_t cells) {
        const double step = std::max(double(high) - double(low), 1e-6) / cells;
        first = in_image(std::floor(low), size);
        const ptrdiff_t last = in_image(std::ceil(high), size);
        for (ptrdiff_t x = first; x < last; ++x) add((x + 0.5 - double(low)) / step + 0.5, cells);
    }

    void whole(float low, float high, ptrdiff_t size, ptrdiff_t cells) {
        // In single precision, as the reference truncates there.
        const float middle = (low + high) * 0.5f, grown = static_cast<float>((cells + 2) / static_cast<double>(cells));
        const float reach = (high - low) * 0.5f * grown;
        const auto start = static_cast<ptrdiff_t>(middle - reach), end = static_cast<ptrdiff_t>(middle + reach);
        const double step = (cells + 2) / static_cast<double>(std::max<ptrdiff_t>(end - start + 1, 1));
        first = std::clamp<ptrdiff_t>(start, 0, size);
        const ptrdiff_t last = std::min(end + 1, size);
        for (ptrdiff_t x = first; x < last; ++x) add(std::clamp((x - start + 0.5) * step - 0.5, 0.0, cells + 1.0), cells);
    }

    void nearest(float low, float high, ptrdiff_t size, ptrdiff_t cells) {
        const double step = cells / std::max(double(high) - double(low), 1e-6);
        first = in_image(std::ceil(double(low) - 0.5), size);
        const ptrdiff_t last = in_image(std::ceil(double(high) - 0.5), size);
        for (ptrdiff_t x = first; x < last; ++x) {
            add(std::clamp(std::floor((x + 0.5 - double(low)) * step), 0.0, cells - 1.0) + 1, cells);
        }
    }
};

// Writes 1 for each pixel at which the mask, h x w probabilities, is at least a half.
inline void paste(const float* mask, ptrdiff_t h, ptrdiff_t w, const PixelCells& down, const PixelCells& across, uint8_t* out) {
    const ptrdiff_t wide = w + 2;
    std::vector<double> cells((h + 2) * wide), row(wide);
    for (ptrdiff_t v = 0; v < h; ++v) std::copy(mask + v * w, mask + (v + 1) * w, &cells[(v + 1) * wide + 1]);
    for (ptrdiff_t y = 0; y < down.count(); ++y, out += across.count()) {
        const double *above = &cells[down.cell[y] * wide], *below = above + wide;
        for (ptrdiff_t u = 0; u < wide; ++u) row[u] = down.near[y] * above[u] + down.far[y] * below[u];
        for (ptrdiff_t x = 0; x < across.count(); ++x) {
            const double* pair = &row[across.cell[x]];
            out[x] = across.near[x] * pair[0] + across.far[x] * pair[1] >= 0.5;
        }
    }
}

// COCO's text of run lengths: from the third on differences to the last but one, in letters of five bits each.
class RunText {
public:
    // Adds pixels of one value.
    void add(bool value, ptrdiff_t count) {
        if (count == 0) return;
        if (value != value_) close();
        run_ += count;
    }

    std::string finish() {
        close();
        return std::move(text_);
    }

private:
    void close() {
        long long rest = number_ > 2 ? run_ - before_[number_ % 2] : run_;
        for (bool is_last = false; !is_last;) {
            const long long bits = rest & 31;
            rest >>= 5;
            is_last = rest == (bits & 16 ? -1 : 0);
            text_ += static_cast<char>(48 + (is_last ? bits : bits | 32));
        }
        before_[number_++ % 2] = run_;
        run_ = 0;
        value_ = !value_;
    }

    std::string text_;
    bool value_ = false;
    ptrdiff_t number_ = 0, run_ = 0, before_[2] = {};
};

// The run lengths, column by column, of an image of height x width px that is 0 but for a part of h x w px at (left, top).
inline std::string run_text(const uint8_t* part, ptrdiff_t h, ptrdiff_t w, ptrdiff_t top, ptrdiff_t left, ptrdiff_t height,
                            ptrdiff_t width) {
    RunText text;
    text.add(false, left * height);
    for (ptrdiff_t x = 0; x < w; ++x) {
        text.add(false, top);
        for (ptrdiff_t y = 0, start = 0; y < h; y = start) {
            const bool value = part[y * w + x];
            while (start < h && bool(part[start * w + x]) == value) ++start;
            text.add(value, start - y);
        }
        text.add(false, height - top - h);
    }
    text.add(false, (width - left - w) * height);
    return text.finish();
}

}  // namespace detforge
