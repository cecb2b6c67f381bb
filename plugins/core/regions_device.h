// Pools regions on a GPU, by a rule of regions.h.
//
// Plan: the levels are copied channels last (device.h). Then a block takes 32 bins of one region, and up to 32 vectors
// of channels. Its threads first put the region's taps into shared memory, where they fit. The channels of a bin lie on
// as many lanes as they have vectors, so each tap of a bin reads contiguous memory. The results are turned in shared
// memory, because the bins are contiguous in the output and the channels are not.
#pragma once

#include "device.h"
#include "regions.h"

namespace detforge {

constexpr int kRegionThreads = 256;
constexpr int kRegionBins = 32;   // of a block
constexpr int kRegionTaps = 512;  // that fit into shared memory

struct RegionSizes {
    int64_t channels, per_image;  // regions of an image
    int row_bins, column_bins;
    int lanes;  // of a bin, a power of 2
    int64_t channel_tiles, bin_tiles, tiles;
    int64_t starts[kMostLevels];  // of the levels' copies
    int heights[kMostLevels], widths[kMostLevels];
};

// The i-th tap of a bin; one at -1 adds nothing.
template <class Axis>
__device__ Tap tap_of(const Axis& axis, int bin, int i) {
    Tap tap;
    return axis.tap(bin, i, tap) ? tap : Tap{-1, 0.0f};
}

template <class Axis>
__device__ void share_taps(const Axis& axis, int bins, int each, Tap* shared) {
    for (int i = threadIdx.x; i < bins * each; i += kRegionThreads) shared[i] = tap_of(axis, i / each, i % each);
}

// Adds the cells of a bin. `row_at` and `column_at` give its taps; sizes are in vectors.
template <int kUnrolled, class V, int kVector, class RowAt, class ColumnAt>
__device__ void add_cells(float (&sums)[kVector], const V* map, int64_t line_size, unsigned cell_size, int rows,
                          int columns, const RowAt& row_at, const ColumnAt& column_at) {
    for (int r = 0; r < rows; ++r) {
        const Tap row = row_at(r);
        if (row.place < 0) continue;
        const V* line = map + row.place * line_size;
#pragma unroll kUnrolled
        for (int c = 0; c < columns; ++c) {
            const Tap column = column_at(c);
            const float weight = row.weight * column.weight;
            V cell{};
            if (column.place >= 0) cell = line[static_cast<unsigned>(column.place) * cell_size];
#pragma unroll
            for (int v = 0; v < kVector; ++v) sums[v] += weight * to_float(cell.values[v]);
        }
    }
}

template <class T, int kVector, class Rule>
static __global__ void __launch_bounds__(kRegionThreads, 3) pool_regions(
    const T* x, T* y, const __grid_constant__ Rule rule, const __grid_constant__ RegionSizes sizes) {
    using V = Vector<T, kVector>;
    __shared__ float results[kWarp * kVector][kRegionBins + 1];
    __shared__ Tap taps[kRegionTaps];
    __shared__ decltype(rule.region(0)) region;
    const int lane = threadIdx.x % sizes.lanes, thread = threadIdx.x;
    const int bins = sizes.row_bins * sizes.column_bins;
    for (int64_t tile = blockIdx.x; tile < sizes.tiles; tile += gridDim.x) {
        const int first_bin = static_cast<int>(tile % sizes.bin_tiles) * kRegionBins;
        const int64_t first_channel = tile / sizes.bin_tiles % sizes.channel_tiles * sizes.lanes * kVector;
        const int64_t index = tile / sizes.bin_tiles / sizes.channel_tiles, image = index / sizes.per_image;
        const int64_t channel = first_channel + lane * kVector;
        const int rest = bins - first_bin < kRegionBins ? bins - first_bin : kRegionBins;
        if (thread == 0) region = rule.region(index);
        __syncthreads();
        const int row_taps = static_cast<int>(region.rows.taps());
        const int column_taps = static_cast<int>(region.columns.taps());
        constexpr bool kOwnTaps = decltype(region.rows)::kOwnTaps;
        const int row_spans = kOwnTaps ? bins : sizes.row_bins, column_spans = kOwnTaps ? bins : sizes.column_bins;
        const int64_t shared_rows = static_cast<int64_t>(row_taps) * row_spans;
        const bool fits = shared_rows + static_cast<int64_t>(column_taps) * column_spans <= kRegionTaps;
        Tap* const column_start = taps + (fits ? shared_rows : 0);
        if (fits) {
            share_taps(region.rows, row_spans, row_taps, taps);
            share_taps(region.columns, column_spans, column_taps, column_start);
        }
        __syncthreads();
        const int64_t width = sizes.widths[region.level], line_size = width * sizes.channels / kVector;
        const unsigned cell_size = static_cast<unsigned>(sizes.channels / kVector);
        const V* map = reinterpret_cast<const V*>(
            x + sizes.starts[region.level] + image * sizes.heights[region.level] * width * sizes.channels + channel);
        for (int i = thread / sizes.lanes; i < rest; i += kRegionThreads / sizes.lanes) {
            const int bin = first_bin + i;
            const int row_bin = kOwnTaps ? bin : bin / sizes.column_bins;
            const int column_bin = kOwnTaps ? bin : bin % sizes.column_bins;
            float sums[kVector] = {};
            if (channel < sizes.channels && fits) {
                const Tap *rows = taps + row_bin * row_taps, *columns = column_start + column_bin * column_taps;
                add_cells<2>(sums, map, line_size, cell_size, row_taps, column_taps, [&](int t) { return rows[t]; },
                             [&](int t) { return columns[t]; });
            } else if (channel < sizes.channels) {
                add_cells<1>(sums, map, line_size, cell_size, row_taps, column_taps,
                             [&](int t) { return tap_of(region.rows, row_bin, t); },
                             [&](int t) { return tap_of(region.columns, column_bin, t); });
            }
#pragma unroll
            for (int v = 0; v < kVector; ++v) results[lane * kVector + v][i] = sums[v];
        }
        __syncthreads();
        const int64_t left_channels = sizes.channels - first_channel;
        const int column = thread % kRegionBins;
        for (int c = thread / kRegionBins; c < sizes.lanes * kVector && c < left_channels;
             c += kRegionThreads / kRegionBins) {
            T* to = y + (index * sizes.channels + first_channel + c) * bins + first_bin;
            if (column < rest) to[column] = from_float<T>(results[c][column]);
        }
        __syncthreads();
    }
}

// Pools the regions of a call whose first `levels` inputs are the pyramid.
template <class T, class Rule>
int launch_regions(const Call& call, int levels, const Rule& rule, int64_t row_bins, int64_t column_bins,
                   void* workspace, void* stream) {
    if (call.output.size() == 0) return cudaSuccess;
    const Tensor* x = call.inputs;
    RegionSizes sizes{};
    sizes.channels = x[0][1], sizes.per_image = x[levels][1];
    sizes.row_bins = static_cast<int>(row_bins), sizes.column_bins = static_cast<int>(column_bins);
    int64_t start = 0;
    for (int l = 0; l < levels; ++l) {
        sizes.heights[l] = static_cast<int>(x[l][2]), sizes.widths[l] = static_cast<int>(x[l][3]);
        sizes.starts[l] = start;
        const int error = launch_channels_last<T>(x[l].data, static_cast<T*>(workspace) + start, x[l][0],
                                                  sizes.channels, x[l][2] * x[l][3], stream);
        if (error != cudaSuccess) return error;
        start += x[l].size();
    }
    const auto run = [&](auto vector) {
        constexpr int kVector = decltype(vector)::value;
        sizes.lanes = 1;
        while (sizes.lanes < kWarp && sizes.lanes * kVector < sizes.channels) sizes.lanes *= 2;
        sizes.channel_tiles = divide_up<int64_t>(sizes.channels, sizes.lanes * kVector);
        sizes.bin_tiles = divide_up<int64_t>(row_bins * column_bins, kRegionBins);
        sizes.tiles = sizes.bin_tiles * sizes.channel_tiles * x[0][0] * sizes.per_image;
        return launch(pool_regions<T, kVector, Rule>, sizes.tiles, kRegionThreads, stream,
                      static_cast<const T*>(workspace), call.output.as<T>(), rule, sizes);
    };
    // Levels begin where the ones before end.
    const auto fits = [&](auto vector) { return sizes.channels % vector == 0 && is_aligned<T, vector>(workspace); };
    constexpr std::integral_constant<int, 8> eight;
    constexpr std::integral_constant<int, 4> four;
    return fits(eight) ? run(eight) : fits(four) ? run(four) : run(std::integral_constant<int, 1>());
}

}  // namespace detforge
