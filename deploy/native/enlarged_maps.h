// Maps of several runs of a network, enlarged bicubically to one size and averaged, without storing all of them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "cubic.h"
#include "gaussian.h"

namespace detforge {

// One run: its maps of h x w px in the order of the result, the px of their `stride`-fold enlargement that show the
// image, and whether that is mirrored.
struct MapRun {
    std::vector<const float*> maps;
    ptrdiff_t h, w, content_h, content_w;
    bool mirrored;
};

// The pixels of a row that each of `size` positions is made of: `count` from first[i] on, with weights[i * count + k].
// Two interpolations are in one: by `stride`, and of the first `content` px of that to `size`.
struct Taps {
    static constexpr ptrdiff_t most = 8;

    Taps(ptrdiff_t from, ptrdiff_t stride, ptrdiff_t content, ptrdiff_t size, bool mirrored) : first(size, -1) {
        std::vector<double> sums(size * most);
        for (ptrdiff_t i = 0; i < size; ++i) {
            const ptrdiff_t place = mirrored ? size - 1 - i : i;
            each(content, size, i, [&](ptrdiff_t px, float outer) {
                each(from, from * stride, px, [&](ptrdiff_t cell, float inner) {  // from left to right
                    if (first[place] < 0) first[place] = cell;
                    sums[place * most + cell - first[place]] += double(outer) * inner;
                    count = std::max(count, cell - first[place] + 1);
                });
            });
        }
        weights.resize(size * count);
        for (ptrdiff_t i = 0; i < size; ++i) {
            const ptrdiff_t start = std::max<ptrdiff_t>(0, std::min(first[i], from - count)), shift = first[i] - start;
            for (ptrdiff_t k = shift; k < count; ++k) weights[i * count + k] = static_cast<float>(sums[i * most + k - shift]);
            first[i] = start;
        }
    }

    // The most by which a value may exceed the largest of those that it is made of.
    float gain() const {
        float most_weight = 1;
        for (size_t i = 0; i < first.size(); ++i) {
            float sum = 0;
            for (ptrdiff_t k = 0; k < count; ++k) sum += std::abs(weights[i * count + k]);
            most_weight = std::max(most_weight, sum);
        }
        return most_weight * 1.0001f;  // for rounding
    }

    std::vector<ptrdiff_t> first;
    std::vector<float> weights;
    ptrdiff_t count = 1;

private:
    // The pixels of `from` that position i of `size` is interpolated from, and their weights.
    template <typename Use>
    static void each(ptrdiff_t from, ptrdiff_t size, ptrdiff_t i, Use use) {
        if (from == size) return use(i, 1.f);
        const double place = (i + 0.5) * (double(from) / size) - 0.5, whole = std::floor(place);
        float weights[4];
        cubic_weights(static_cast<float>(place - whole), weights);
        for (ptrdiff_t k = 0; k < 4; ++k) use(std::clamp<ptrdiff_t>(static_cast<ptrdiff_t>(whole) + k - 1, 0, from - 1), weights[k]);
    }
};

// Both write `size` pixels of a row; `stride` is the length of a whole one.
DETFORGE_CLONES static void stretch_row(const float* row, const int32_t* first, const float* weights, ptrdiff_t count,
                                        float* out, ptrdiff_t size, ptrdiff_t stride) {
    if (count == 4) {  // one interpolation
        const float *second = weights + stride, *third = second + stride, *fourth = third + stride;
        for (ptrdiff_t x = 0; x < size; ++x) {
            const float* from = row + first[x];
            out[x] = weights[x] * from[0] + second[x] * from[1] + third[x] * from[2] + fourth[x] * from[3];
        }
        return;
    }
    for (ptrdiff_t x = 0; x < size; ++x) out[x] = weights[x] * row[first[x]];
    for (ptrdiff_t k = 1; k < count; ++k) {
        const float* weight = weights + k * stride;
        for (ptrdiff_t x = 0; x < size; ++x) out[x] += weight[x] * row[first[x] + k];
    }
}

// Mixes `count` rows that follow one another.
DETFORGE_CLONES static void mix_taps(const float* rows, const float* weights, ptrdiff_t count, float* out, ptrdiff_t size,
                                     ptrdiff_t stride) {
    ptrdiff_t k = std::min<ptrdiff_t>(count, 4);
    const float *second = rows + (k > 1 ? stride : 0), *third = rows + (k > 2 ? 2 * stride : 0);
    const float* fourth = rows + (k > 3 ? 3 * stride : 0);
    const float a = weights[0], b = k > 1 ? weights[1] : 0, c = k > 2 ? weights[2] : 0, d = k > 3 ? weights[3] : 0;
    for (ptrdiff_t x = 0; x < size; ++x) out[x] = a * rows[x] + b * second[x] + c * third[x] + d * fourth[x];
    for (; k < count; ++k) {
        const float* row = rows + k * stride;
        for (ptrdiff_t x = 0; x < size; ++x) out[x] += weights[k] * row[x];
    }
}

DETFORGE_CLONES static void mark(const float* values, float limit, uint8_t* out, ptrdiff_t count) {
    for (ptrdiff_t i = 0; i < count; ++i) out[i] = !(std::abs(values[i]) <= limit);
}

DETFORGE_CLONES static void merge_marks(const uint8_t* from, uint8_t* to, ptrdiff_t count) {
    for (ptrdiff_t i = 0; i < count; ++i) to[i] |= from[i];
}

// The pixels of a map that matter. Others have no meaning.
class FilledMap {
public:
    static constexpr ptrdiff_t run = 16;  // px of a row that are filled together

    std::vector<float> values;

    // Calls use(start, size) for each part of row `y` that is filled.
    template <typename Use>
    void each_part(ptrdiff_t y, Use use) const {
        each_part(&filled_[y * runs_], use);
    }

private:
    friend class EnlargedMaps;

    template <typename Use>
    void each_part(const uint8_t* marks, Use use) const {
        for (ptrdiff_t end, start = 0; start < runs_; start = end + 1) {
            for (end = start; end < runs_ && marks[end]; ++end) {}
            if (end > start) use(start * run, std::min(end * run, w_) - start * run);
        }
    }

    ptrdiff_t w_ = 0, runs_ = 0;
    std::vector<float> stretched_;
    std::vector<uint8_t> filled_;  // of each run
};

// Of each cell of each run's map: whether one of the cells from it on is far from 0.
using LoudCells = std::vector<std::vector<uint8_t>>;

// The mean of all runs at the size h x w.
class EnlargedMaps {
public:
    EnlargedMaps(std::vector<MapRun> runs, ptrdiff_t stride, ptrdiff_t h, ptrdiff_t w) : h(h), w(w), runs_(std::move(runs)) {
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
        out.w_ = w;
        out.runs_ = (w + FilledMap::run - 1) / FilledMap::run;
        out.values.resize(h * w);
        find_runs(loud_cells(map, least), reach, out);
        std::vector<float> mixed(w);
        for (size_t i = 0; i < runs_.size(); ++i) {
            const Taps& taps = rows_[i];
            stretch(map, i, out);
            for (ptrdiff_t y = 0; y < h; ++y) {
                const float* weights = &taps.weights[y * taps.count];
                out.each_part(y, [&](ptrdiff_t start, ptrdiff_t size) {
                    float* own = &out.values[y * w + start];
                    mix_taps(&out.stretched_[taps.first[y] * w + start], weights, taps.count, i == 0 ? own : mixed.data(), size, w);
                    for (ptrdiff_t x = 0; i > 0 && x < size; ++x) own[x] += mixed[x];
                    for (ptrdiff_t x = 0; i > 0 && i + 1 == runs_.size() && x < size; ++x) own[x] /= runs_.size();
                });
            }
        }
    }

    // What `may_exceed` needs to know of a map.
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

    // Whether a pixel may be above the limit of the loud cells. It is not where all that it is made of is near 0.
    bool may_exceed(const LoudCells& loud, ptrdiff_t y, ptrdiff_t x) const {
        for (size_t i = 0; i < runs_.size(); ++i) {
            if (loud[i][rows_[i].first[y] * runs_[i].w + columns_[i].first[x]]) return true;
        }
        return false;
    }

    // One pixel of a map.
    float at(ptrdiff_t map, ptrdiff_t y, ptrdiff_t x) const {
        float sum = 0;
        for (size_t i = 0; i < runs_.size(); ++i) {
            const Taps &down = rows_[i], &across = columns_[i];
            const float* corner = runs_[i].maps[map] + down.first[y] * runs_[i].w + across.first[x];
            const float *beside = &across.weights[x * across.count], *below = &down.weights[y * down.count];
            const bool is_usual = down.count == 4 && across.count == 4;  // one interpolation: a loop of known length
            sum += is_usual ? mixed<4>(corner, runs_[i].w, below, 4, beside, 4)
                            : mixed<Taps::most>(corner, runs_[i].w, below, down.count, beside, across.count);
        }
        return sum / static_cast<float>(runs_.size());
    }

    const ptrdiff_t h, w;

private:
    // The weighted sum of `rows` x `columns` pixels from `corner` on, at most `most` a side, and as many if that is 4.
    template <int most>
    static float mixed(const float* corner, ptrdiff_t width, const float* below, ptrdiff_t rows, const float* beside,
                       ptrdiff_t columns) {
        if (most == 4) rows = columns = most;
        float parts[most] = {};
        for (ptrdiff_t v = 0; v < rows; ++v, corner += width) {
            for (ptrdiff_t u = 0; u < columns; ++u) parts[u] += below[v] * corner[u];
        }
        float sum = 0;
        for (ptrdiff_t u = 0; u < columns; ++u) sum += beside[u] * parts[u];
        return sum;
    }

    // The runs of pixels with one near that may be loud.
    void find_runs(const LoudCells& cells, ptrdiff_t reach, FilledMap& out) const {
        const ptrdiff_t count = out.runs_, run = FilledMap::run;
        out.filled_.assign(h * count, 0);
        for (size_t i = 0; i < runs_.size(); ++i) {
            const ptrdiff_t height = runs_[i].h, width = runs_[i].w;
            const std::vector<ptrdiff_t>&down = rows_[i].first, &across = columns_[i].first;
            const auto range = [reach](const std::vector<ptrdiff_t>& first, ptrdiff_t low, ptrdiff_t high, ptrdiff_t size) {
                const auto [a, b] = std::minmax(first[std::max<ptrdiff_t>(low - reach, 0)], first[std::min(high + reach, size - 1)]);
                return std::pair(a, b + 1);
            };
            std::vector<uint8_t> loud(height * count);
            for (ptrdiff_t each = 0; each < count; ++each) {
                const auto [left, right] = range(across, each * run, std::min(each * run + run, w) - 1, w);
                for (ptrdiff_t v = 0; v < height; ++v) {
                    const uint8_t* row = &cells[i][v * width];
                    loud[v * count + each] = std::any_of(row + left, row + right, [](uint8_t cell) { return cell; });
                }
            }
            for (ptrdiff_t y = 0; y < h; ++y) {
                const auto [top, bottom] = range(down, y, y, h);
                for (ptrdiff_t v = top; v < bottom; ++v) merge_marks(&loud[v * count], &out.filled_[y * count], count);
            }
        }
    }

    // Enlarges the rows of a map of which runs are made.
    void stretch(ptrdiff_t map, size_t index, FilledMap& out) const {
        const ptrdiff_t count = out.runs_;
        const MapRun& own = runs_[index];
        const Taps& taps = rows_[index];
        std::vector<uint8_t> used(own.h * count);
        for (ptrdiff_t y = 0; y < h; ++y) {
            for (ptrdiff_t k = 0; k < taps.count && taps.first[y] + k < own.h; ++k) {
                merge_marks(&out.filled_[y * count], &used[(taps.first[y] + k) * count], count);
            }
        }
        out.stretched_.resize(own.h * w);
        for (ptrdiff_t v = 0; v < own.h; ++v) {
            const float* row = own.maps[map] + v * own.w;
            out.each_part(&used[v * count], [&](ptrdiff_t start, ptrdiff_t size) {
                stretch_row(row, &firsts_[index][start], &by_tap_[index][start], columns_[index].count,
                            &out.stretched_[v * w + start], size, w);
            });
        }
    }

    std::vector<MapRun> runs_;
    std::vector<Taps> rows_, columns_;
    std::vector<std::vector<int32_t>> firsts_;
    std::vector<std::vector<float>> by_tap_;  // the columns' weights, one tap after the other
};

}  // namespace detforge
