// Pools regions on the CPU, by a rule of regions.h.
//
// The taps of every region are found once; those of one cell are joined. The needed rows of the levels are copied with
// their channels in blocks of 16. Then one block is pooled after the other, for all regions in the order of their
// places: so the cells in use stay in the second cache. A last step of each region turns bins and channels.
#pragma once

#include <algorithm>

#include "regions.h"
#include "simd.h"

namespace detforge {

constexpr int64_t kRegionBlock = 16;    // channels
constexpr int64_t kRegionsOfTurn = 16;  // of one thread's turn
constexpr int64_t kBinsOfTurn = 64;     // whose results are turned together

struct Taps {
    const Tap* first;
    int64_t count;
};

// A region's taps: of each row of bins, or of each bin if it has its own, then as many of the columns.
struct TappedRegion {
    int64_t index, image, level;
    int first_row, last_row;  // that are needed; none if first > last
    const Taps* rows;
    const Taps* columns;
};

// Four channels of four bins, from (bin, channel) to (channel, bin).
DETFORGE_INLINE void turn_four(const float* pooled, float* y, int64_t stride, int64_t channels, int64_t bins) {
    typedef float Four __attribute__((vector_size(16), aligned(4), may_alias));
    Four in[4];
    for (int i = 0; i < 4; ++i) in[i] = *reinterpret_cast<const Four*>(pooled + i * kRegionBlock);
    const Four a = __builtin_shufflevector(in[0], in[1], 0, 4, 1, 5);
    const Four b = __builtin_shufflevector(in[2], in[3], 0, 4, 1, 5);
    const Four c = __builtin_shufflevector(in[0], in[1], 2, 6, 3, 7);
    const Four d = __builtin_shufflevector(in[2], in[3], 2, 6, 3, 7);
    const Four out[4] = {__builtin_shufflevector(a, b, 0, 1, 4, 5), __builtin_shufflevector(a, b, 2, 3, 6, 7),
                         __builtin_shufflevector(c, d, 0, 1, 4, 5), __builtin_shufflevector(c, d, 2, 3, 6, 7)};
    for (int64_t i = 0; i < channels; ++i) {
        if (bins == 4) {
            *reinterpret_cast<Four*>(y + i * stride) = out[i];
        } else {
            for (int64_t k = 0; k < bins; ++k) y[i * stride + k] = out[i][k];
        }
    }
}

// Pools a block of channels of one region. x is the level's copy (h, w, kRegionBlock), y is (channels, bins).
// The vectors stay in this function: GCC compiles those of inlined functions for the oldest processor.
DETFORGE_CLONES static void pool_region(const float* x, int64_t width, const Taps* rows, int64_t row_count,
                                        const Taps* columns, int64_t column_count, bool own_taps, float* y,
                                        int64_t channels) {
    typedef float Vector __attribute__((vector_size(32), may_alias));
    alignas(64) float pooled[kBinsOfTurn * kRegionBlock];
    const int64_t bins = row_count * column_count;
    int64_t filled = 0, written = 0;
    for (int64_t row = 0; row < row_count; ++row) {
        for (int64_t column = 0; column < column_count; ++column) {
            Vector sums[2] = {};
            const int64_t bin = written + filled;
            const Taps &row_taps = rows[own_taps ? bin : row], &column_taps = columns[own_taps ? bin : column];
            const Tap *first = column_taps.first, *last = first + column_taps.count;
            for (int64_t i = 0; i < row_taps.count; ++i) {
                const Tap& outer = row_taps.first[i];
                const float* line = x + outer.place * width * kRegionBlock;
                Vector line_sums[2] = {};
                for (const Tap* tap = first; tap != last; ++tap) {
                    const Vector* cell = reinterpret_cast<const Vector*>(line + tap->place * kRegionBlock);
                    line_sums[0] += tap->weight * cell[0];
                    line_sums[1] += tap->weight * cell[1];
                }
                sums[0] += outer.weight * line_sums[0];
                sums[1] += outer.weight * line_sums[1];
            }
            Vector* to = reinterpret_cast<Vector*>(pooled + filled * kRegionBlock);
            to[0] = sums[0], to[1] = sums[1];
            ++filled;
            if (filled < kBinsOfTurn && written + filled < bins) continue;
            for (int64_t c = 0; c < channels; c += 4) {
                for (int64_t k = 0; k < filled; k += 4) {
                    turn_four(pooled + k * kRegionBlock + c, y + c * bins + written + k, bins,
                              std::min<int64_t>(4, channels - c), std::min<int64_t>(4, filled - k));
                }
            }
            written += filled;
            filled = 0;
        }
    }
}

// A row of `channels` planes of x to a row of cells; the channels that a block lacks are 0.
template <class Channels>
DETFORGE_INLINE void copy_cells(const float* x, float* y, int64_t width, int64_t plane, Channels channels) {
    for (int64_t j = 0; j < width; ++j) {
        for (int64_t c = 0; c < channels; ++c) y[j * kRegionBlock + c] = x[c * plane + j];
        for (int64_t c = channels; c < kRegionBlock; ++c) y[j * kRegionBlock + c] = 0.0f;
    }
}

DETFORGE_CLONES static void copy_row_of_cells(const float* x, float* y, int64_t width, int64_t plane,
                                              int64_t channels) {
    if (channels < kRegionBlock) return copy_cells<int64_t>(x, y, width, plane, channels);
    copy_cells(x, y, width, plane, std::integral_constant<int64_t, kRegionBlock>());
}

// Writes the taps of a bin and gives how many they are. The last two places are those that a tap may fall on again.
template <class Axis>
int64_t find_taps(const Axis& axis, int bin, Tap* taps) {
    int64_t count = 0;
    for (int64_t i = 0; i < axis.taps(); ++i) {
        Tap tap;
        if (!axis.tap(bin, i, tap)) continue;
        const int64_t oldest = std::max<int64_t>(count - 2, 0);
        int64_t same = count - 1;
        while (same >= oldest && taps[same].place != tap.place) --same;
        if (same >= oldest) {
            taps[same].weight += tap.weight;
        } else {
            taps[count++] = tap;
        }
    }
    return count;
}

// Pools the regions of a call whose first `levels` inputs are the pyramid.
template <class Rule>
void pool_regions(const Call& call, int levels, const Rule& rule, int64_t row_bins, int64_t column_bins,
                  Context& context) {
    const Tensor* x = call.inputs;
    const int64_t images = x[0][0], channels = x[0][1], per_image = x[levels][1], count = images * per_image;
    if (call.output.size() == 0) return;
    constexpr bool kOwnTaps = decltype(rule.region(0).rows)::kOwnTaps;
    const int64_t row_spans = kOwnTaps ? row_bins * column_bins : row_bins;
    const int64_t column_spans = kOwnTaps ? row_spans : column_bins, spans = row_spans + column_spans;
    const int64_t blocks = (channels + kRegionBlock - 1) / kRegionBlock;

    // Where each region's taps go, from the most that it may have.
    int64_t* starts = context.allocate_array<int64_t>(count + 1);
    starts[0] = 0;
    for (int64_t i = 0; i < count; ++i) {
        const auto region = rule.region(i);
        starts[i + 1] = starts[i] + row_spans * region.rows.taps() + column_spans * region.columns.taps();
    }
    Tap* taps = context.allocate_array<Tap>(starts[count]);
    Taps* bins = context.allocate_array<Taps>(count * spans);
    TappedRegion* regions = context.allocate_array<TappedRegion>(count);
    context.parallel((count + kRegionsOfTurn - 1) / kRegionsOfTurn, [&](int64_t turn) {
        const int64_t end = std::min((turn + 1) * kRegionsOfTurn, count);
        for (int64_t i = turn * kRegionsOfTurn; i < end; ++i) {
            const auto region = rule.region(i);
            Tap* next = taps + starts[i];
            Taps* bin = bins + i * spans;
            TappedRegion& made = regions[i] = {i, i / per_image, region.level, 1, 0, bin, bin + row_spans};
            made.first_row = static_cast<int>(x[region.level][2]);
            made.last_row = -1;
            for (int64_t k = 0; k < spans; ++k, ++bin) {
                const bool is_row = k < row_spans;
                *bin = {next, is_row ? find_taps(region.rows, static_cast<int>(k), next)
                                     : find_taps(region.columns, static_cast<int>(k - row_spans), next)};
                for (int64_t t = 0; is_row && t < bin->count; ++t) {
                    made.first_row = std::min(made.first_row, next[t].place);
                    made.last_row = std::max(made.last_row, next[t].place);
                }
                next += bin->count;
            }
        }
    });
    std::sort(regions, regions + count, [](const TappedRegion& a, const TappedRegion& b) {
        if (a.image != b.image) return a.image < b.image;
        if (a.level != b.level) return a.level < b.level;
        return a.first_row != b.first_row ? a.first_row < b.first_row : a.index < b.index;
    });

    // The copies (level, image, block, h, w, kRegionBlock).
    float* copies[kMostLevels];
    for (int l = 0; l < levels; ++l) {
        const int64_t cells = x[l][2] * x[l][3];
        copies[l] = context.allocate_array<float>(images * blocks * cells * kRegionBlock);
        int64_t first = x[l][2], last = -1;
        for (int64_t i = 0; i < count; ++i) {
            if (regions[i].level != l) continue;
            first = std::min<int64_t>(first, regions[i].first_row), last = std::max<int64_t>(last, regions[i].last_row);
        }
        const int64_t rows = std::max<int64_t>(last - first + 1, 0), width = x[l][3];
        context.parallel(images * blocks * rows, [&](int64_t i) {
            const int64_t row = first + i % rows, plane = i / rows, block = plane % blocks, image = plane / blocks;
            const int64_t channel = block * kRegionBlock;
            copy_row_of_cells(x[l].as<const float>() + (image * channels + channel) * cells + row * width,
                              copies[l] + (plane * cells + row * width) * kRegionBlock, width, cells,
                              std::min(kRegionBlock, channels - channel));
        });
    }

    const int64_t turns = (count + kRegionsOfTurn - 1) / kRegionsOfTurn;
    context.parallel(blocks * turns, [&](int64_t i) {
        const int64_t block = i / turns, channel = block * kRegionBlock, first = i % turns * kRegionsOfTurn;
        const int64_t end = std::min(first + kRegionsOfTurn, count);
        for (const TappedRegion* region = regions + first; region != regions + end; ++region) {
            const int64_t height = x[region->level][2], width = x[region->level][3];
            const float* plane =
                copies[region->level] + (region->image * blocks + block) * height * width * kRegionBlock;
            float* y = call.output.as<float>() + (region->index * channels + channel) * row_bins * column_bins;
            pool_region(plane, width, region->rows, row_bins, region->columns, column_bins, kOwnTaps, y,
                        std::min(kRegionBlock, channels - channel));
        }
    });
}

}  // namespace detforge
