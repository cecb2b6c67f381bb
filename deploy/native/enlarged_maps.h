// Maps of several runs of a network, enlarged bicubically to one size and averaged, without storing all of them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
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
    std::unique_ptr<float[]> values;  // most of it is never touched
    std::vector<Part> parts;

private:
    friend class EnlargedMaps;

    static constexpr ptrdiff_t block = 16;  // px of a row that are filled together

    std::unique_ptr<float[]> stretched_;
    std::vector<uint8_t> filled_;  // of each block
};

// Of each cell of each run's map: whether one of the cells from it on is far from 0.
using LoudCells = std::vector<std::vector<uint8_t>>;

// A map of each run at its own width and the height of the result, whose rows are mixed when a pixel is asked for.
class TallMap {
public:
    // Writes the `count` pixels (rows[i], columns[i]), the means of all runs.
    template <ptrdiff_t count>
    void at(const int32_t* rows, const int32_t* columns, float* out) const {
        if (runs_.size() == 1) return mix<count>(runs_[0], rows, columns, out);
        std::fill_n(out, count, 0.f);
        for (const Run& run : runs_) {
            float own[count];
            mix<count>(run, rows, columns, own);
            for (ptrdiff_t i = 0; i < count; ++i) out[i] += own[i];
        }
        for (ptrdiff_t i = 0; i < count; ++i) out[i] /= runs_.size();
    }

private:
    friend class EnlargedMaps;

    struct Run {
        std::vector<float> values;
        ptrdiff_t width, taps;
        const int32_t* first;  // of each column, the first of the `taps` values that it is made of
        const float* weights;
    };

    template <ptrdiff_t count>
    static void mix(const Run& run, const int32_t* rows, const int32_t* columns, float* out) {
        if (run.taps == 4) return mix_four<count>(run, rows, columns, out);
        for (ptrdiff_t i = 0; i < count; ++i) {
            const float* row = &run.values[rows[i] * run.width + run.first[columns[i]]];
            const float* weights = run.weights + columns[i] * run.taps;
            out[i] = weights[0] * row[0];
            for (ptrdiff_t k = 1; k < run.taps; ++k) out[i] += weights[k] * row[k];
        }
    }

    // The usual case, one interpolation. It has two loops, so that the four products of a pixel are one instruction.
    template <ptrdiff_t count>
    static void mix_four(const Run& run, const int32_t* rows, const int32_t* columns, float* out) {
        constexpr ptrdiff_t taps = 4;
        const ptrdiff_t width = run.width;
        const float *values = run.values.data(), *all = run.weights;
        const int32_t* firsts = run.first;
        float parts[count * taps];
        for (ptrdiff_t i = 0; i < count; ++i) {
            const float *row = values + rows[i] * width + firsts[columns[i]], *weights = all + columns[i] * taps;
            for (ptrdiff_t k = 0; k < taps; ++k) parts[i * taps + k] = weights[k] * row[k];
        }
        for (ptrdiff_t i = 0; i < count; ++i) {
            const float* own = parts + i * taps;
            out[i] = (own[0] + own[2]) + (own[1] + own[3]);
        }
    }

    std::vector<Run> runs_;
};

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
        if (out.values == nullptr) out.values.reset(new float[h * w]);
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
        out.runs_.resize(runs_.size());
        for (size_t i = 0; i < runs_.size(); ++i) {
            const Taps& taps = rows_[i];
            const ptrdiff_t width = runs_[i].w;
            TallMap::Run& run = out.runs_[i];
            run.values.resize(h * width);
            run.width = width;
            run.taps = columns_[i].count;
            run.first = firsts_[i].data();
            run.weights = columns_[i].weights.data();
            for (ptrdiff_t y = top; y <= bottom; ++y) {
                const float* row = runs_[i].maps[map] + taps.first[y] * width;
                mix_taps(row, &taps.weights[y * taps.count], taps.count, &run.values[y * width], width, width);
            }
        }
    }

    const ptrdiff_t h, w;

private:
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
            std::vector<ptrdiff_t> loud_rows;
            for (ptrdiff_t v = 0; v < height; ++v) {
                if (next_mark(&cells[i][v * width], 1, 0, width) < width) loud_rows.push_back(v);
            }
            for (ptrdiff_t each = 0; each * FilledMap::block < w; ++each) {
                const ptrdiff_t low = each * FilledMap::block, high = std::min(low + FilledMap::block, w) - 1;
                const auto [left, right] = range(columns_[i].first, low, high, w);
                for (const ptrdiff_t v : loud_rows) {
                    const uint8_t* row = &cells[i][v * width];
                    loud[v * blocks_ + each] = std::any_of(row + left, row + right, [](uint8_t cell) { return cell; });
                }
            }
            std::vector<uint8_t> near(blocks_);  // of a row, and of the next ones that are made of the same cells
            std::pair<ptrdiff_t, ptrdiff_t> last;
            for (ptrdiff_t y = 0; y < h; ++y) {
                const std::pair<ptrdiff_t, ptrdiff_t> own = range(rows_[i].first, y, y, h);
                if (y == 0 || own != last) {
                    near.assign(blocks_, 0);
                    for (ptrdiff_t v = own.first; v < own.second; ++v) merge_marks(&loud[v * blocks_], near.data(), blocks_);
                    last = own;
                }
                merge_marks(near.data(), &out[y * blocks_], blocks_);
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
        std::vector<uint8_t> firsts(own.h * blocks_), used(own.h * blocks_);
        for (ptrdiff_t y = 0; y < h; ++y) merge_marks(&out.filled_[y * blocks_], &firsts[taps.first[y] * blocks_], blocks_);
        for (ptrdiff_t k = 0; k < std::min(taps.count, own.h); ++k) {
            merge_marks(firsts.data(), &used[k * blocks_], (own.h - k) * blocks_);
        }
        out.stretched_.reset(new float[own.h * w]);
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
