// Maps of several runs of a network, enlarged bicubically to one size and averaged, without storing all of them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "gaussian.h"
#include "taps.h"

namespace detforge {

// One run: its maps of h x w px in the order of the result, the px of their `stride`-fold enlargement that show the
// image, and whether that is mirrored.
struct MapRun {
    std::vector<const float*> maps;
    ptrdiff_t h, w, content_h, content_w;
    bool mirrored;
};

DETFORGE_CLONES static void mark(const float* values, float limit, uint8_t* out, ptrdiff_t count) {
    for (ptrdiff_t i = 0; i < count; ++i) out[i] = !(std::abs(values[i]) <= limit);
}

DETFORGE_CLONES static void merge_marks(const uint8_t* from, uint8_t* to, ptrdiff_t count) {
    for (ptrdiff_t i = 0; i < count; ++i) to[i] |= from[i];
}

// The first place from `from` on that has this mark, or `size`.
inline ptrdiff_t next_mark(const uint8_t* marks, uint8_t mark, ptrdiff_t from, ptrdiff_t size) {
    const void* place = from < size ? std::memchr(marks + from, mark, size - from) : nullptr;
    return place == nullptr ? size : static_cast<const uint8_t*>(place) - marks;
}

// A part of a row: `size` px from `x` on.
struct Part {
    ptrdiff_t y, x, size;
};

// The pixels of a map that matter, in `parts` from top to bottom. Others have no meaning.
class FilledMap {
public:
    std::vector<float> values;
    std::vector<Part> parts;

private:
    friend class EnlargedMaps;

    static constexpr ptrdiff_t block = 16;  // px of a row that are filled together

    std::vector<float> stretched_;
    std::vector<uint8_t> filled_;  // of each block
};

// Of each cell of each run's map: whether one of the cells from it on is far from 0.
using LoudCells = std::vector<std::vector<uint8_t>>;

// A map of each run at its own width and the height of the result.
using TallMap = std::vector<std::vector<float>>;

// The mean of all runs at the size h x w.
class EnlargedMaps {
public:
    EnlargedMaps(std::vector<MapRun> runs, ptrdiff_t stride, ptrdiff_t h, ptrdiff_t w) : h(h), w(w), runs_(std::move(runs)) {
        constexpr ptrdiff_t together = 32;
        blocks_ = (w + together * FilledMap::block - 1) / (together * FilledMap::block) * together;
        for (const MapRun& run : runs_) {
            rows_.emplace_back(run.h, stride, run.content_h, h, false);
            columns_.emplace_back(run.w, stride, run.content_w, w, run.mirrored);
            const Taps& taps = columns_.back();
            firsts_.emplace_back(taps.first.begin(), taps.first.end());
            by_tap_.emplace_back(taps.weights.size());
            for (ptrdiff_t x = 0; x < w; ++x) {
                for (ptrdiff_t k = 0; k < taps.count; ++k) by_tap_.back()[k * w + x] = taps.weights[x * taps.count + k];
            }
        }
    }

    // Fills the pixels of a map that may be at least `least`, and those at most `reach` px from them.
    void fill(ptrdiff_t map, float least, ptrdiff_t reach, FilledMap& out) const {
        out.values.resize(h * w);
        mark_blocks(loud_cells(map, least), reach, out.filled_);
        out.parts = marked_parts(out.filled_);
        std::vector<float> mixed(w);
        for (size_t i = 0; i < runs_.size(); ++i) {
            const Taps& taps = rows_[i];
            stretch(map, i, out);
            for (const Part& part : out.parts) {
                const float *rows = &out.stretched_[taps.first[part.y] * w + part.x], *weights = &taps.weights[part.y * taps.count];
                float* own = &out.values[part.y * w + part.x];
                mix_taps(rows, weights, taps.count, i == 0 ? own : mixed.data(), part.size, w);
                for (ptrdiff_t x = 0; i > 0 && x < part.size; ++x) own[x] += mixed[x];
                for (ptrdiff_t x = 0; i > 0 && i + 1 == runs_.size() && x < part.size; ++x) own[x] /= runs_.size();
            }
        }
    }

    // The cells without which no pixel is above `least`.
    LoudCells loud_cells(ptrdiff_t map, float least) const {
        LoudCells loud;
        for (size_t i = 0; i < runs_.size(); ++i) {
            const MapRun& run = runs_[i];
            const float limit = least / (rows_[i].gain() * columns_[i].gain());
            const ptrdiff_t size = run.h * run.w;
            std::vector<uint8_t> hot(size);
            mark(run.maps[map], limit, hot.data(), size);
            loud.push_back(hot);
            for (ptrdiff_t k = 1; k < columns_[i].count; ++k) merge_marks(&hot[k], loud[i].data(), size - k);
            hot = loud[i];
            for (ptrdiff_t k = 1; k < rows_[i].count && k < run.h; ++k) {
                merge_marks(&hot[k * run.w], loud[i].data(), size - k * run.w);
            }
        }
        return loud;
    }

    // Enlarges the rows from `top` to `bottom` of a map downwards only, so that each pixel of `at` is made of one row.
    void heighten(ptrdiff_t map, ptrdiff_t top, ptrdiff_t bottom, TallMap& out) const {
        out.resize(runs_.size());
        for (size_t i = 0; i < runs_.size(); ++i) {
            const Taps& taps = rows_[i];
            const ptrdiff_t width = runs_[i].w;
            out[i].resize(h * width);
            for (ptrdiff_t y = top; y <= bottom; ++y) {
                const float* row = runs_[i].maps[map] + taps.first[y] * width;
                mix_taps(row, &taps.weights[y * taps.count], taps.count, &out[i][y * width], width, width);
            }
        }
    }

    // The pixels (rows[i], columns[i]) of a map, whose rows are heightened.
    void at(const TallMap& map, const int32_t* rows, const int32_t* columns, ptrdiff_t count, float* out) const {
        std::fill_n(out, count, 0.f);
        for (size_t i = 0; i < runs_.size(); ++i) {
            const bool is_usual = columns_[i].count == 4;  // one interpolation: a loop of known length
            is_usual ? add<4>(map[i].data(), i, rows, columns, count, out) : add<0>(map[i].data(), i, rows, columns, count, out);
        }
        for (ptrdiff_t i = 0; i < count && runs_.size() > 1; ++i) out[i] /= runs_.size();
    }

    const ptrdiff_t h, w;

private:
    // Adds the pixels of one run, which are made of `fixed` others of their row if that is not 0.
    template <ptrdiff_t fixed>
    void add(const float* map, size_t run, const int32_t* rows, const int32_t* columns, ptrdiff_t count, float* out) const {
        const ptrdiff_t taps = fixed ? fixed : columns_[run].count, width = runs_[run].w;
        const int32_t* first = firsts_[run].data();
        for (ptrdiff_t i = 0; i < count; ++i) {
            const float *row = map + rows[i] * width + first[columns[i]], *weights = &columns_[run].weights[columns[i] * taps];
            float mixed = weights[0] * row[0];
            for (ptrdiff_t k = 1; k < taps; ++k) mixed += weights[k] * row[k];
            out[i] += mixed;
        }
    }

    // Marks the blocks of pixels with one near that may be loud.
    void mark_blocks(const LoudCells& cells, ptrdiff_t reach, std::vector<uint8_t>& out) const {
        const auto range = [reach](const std::vector<ptrdiff_t>& first, ptrdiff_t low, ptrdiff_t high, ptrdiff_t size) {
            const auto [a, b] = std::minmax(first[std::max<ptrdiff_t>(low - reach, 0)], first[std::min(high + reach, size - 1)]);
            return std::pair(a, b + 1);
        };
        out.assign(h * blocks_, 0);
        for (size_t i = 0; i < runs_.size(); ++i) {
            const ptrdiff_t height = runs_[i].h, width = runs_[i].w;
            std::vector<uint8_t> loud(height * blocks_);
            for (ptrdiff_t each = 0; each * FilledMap::block < w; ++each) {
                const ptrdiff_t low = each * FilledMap::block, high = std::min(low + FilledMap::block, w) - 1;
                const auto [left, right] = range(columns_[i].first, low, high, w);
                for (ptrdiff_t v = 0; v < height; ++v) {
                    const uint8_t* row = &cells[i][v * width];
                    loud[v * blocks_ + each] = std::any_of(row + left, row + right, [](uint8_t cell) { return cell; });
                }
            }
            for (ptrdiff_t y = 0; y < h; ++y) {
                const auto [top, bottom] = range(rows_[i].first, y, y, h);
                for (ptrdiff_t v = top; v < bottom; ++v) merge_marks(&loud[v * blocks_], &out[y * blocks_], blocks_);
            }
        }
    }

    // The marked blocks of each row; those side by side are one part.
    std::vector<Part> marked_parts(const std::vector<uint8_t>& marks) const {
        std::vector<Part> parts;
        const ptrdiff_t rows = static_cast<ptrdiff_t>(marks.size()) / blocks_;
        for (ptrdiff_t y = 0; y < rows; ++y) {
            const uint8_t* row = &marks[y * blocks_];
            for (ptrdiff_t start = next_mark(row, 1, 0, blocks_), end; start < blocks_; start = next_mark(row, 1, end, blocks_)) {
                end = next_mark(row, 0, start, blocks_);
                const ptrdiff_t x = start * FilledMap::block;
                parts.push_back({y, x, std::min(end * FilledMap::block, w) - x});
            }
        }
        return parts;
    }

    // Enlarges the rows of a map of which blocks are made.
    void stretch(ptrdiff_t map, size_t run, FilledMap& out) const {
        const MapRun& own = runs_[run];
        const Taps& taps = rows_[run];
        std::vector<uint8_t> used(own.h * blocks_);
        for (ptrdiff_t y = 0; y < h; ++y) {
            for (ptrdiff_t k = 0; k < taps.count && taps.first[y] + k < own.h; ++k) {
                merge_marks(&out.filled_[y * blocks_], &used[(taps.first[y] + k) * blocks_], blocks_);
            }
        }
        out.stretched_.resize(own.h * w);
        for (const auto& [v, x, size] : marked_parts(used)) {
            stretch_row(own.maps[map] + v * own.w, &firsts_[run][x], &by_tap_[run][x], columns_[run].count,
                        &out.stretched_[v * w + x], size, w);
        }
    }

    ptrdiff_t blocks_;  // the marks of a row, whose number is even for vector instructions
    std::vector<MapRun> runs_;
    std::vector<Taps> rows_, columns_;
    std::vector<std::vector<int32_t>> firsts_;
    std::vector<std::vector<float>> by_tap_;  // the columns' weights, one tap after the other
};

}  // namespace detforge
