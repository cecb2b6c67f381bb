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

// The taps of one axis of a region, from shared memory or made anew. A place of -1 adds nothing.
template <class Axis>
struct SharedTaps {
    const Axis& axis;
    const Tap* shared;
    __device__ Tap at(int bin, int64_t i) const {
        if (shared != nullptr) return shared[bin * axis.taps() + i];
        Tap tap;
        if (!axis.tap(bin, i, tap)) tap.place = -1;
        return tap;
    }
};

template <class Axis>
__device__ void share_taps(const Axis& axis, int bins, Tap* shared) {
    const int each = static_cast<int>(axis.taps());
    for (int i = threadIdx.x; i < bins * each; i += kRegionThreads) {
        Tap tap;
        if (!axis.tap(i / each, i % each, tap)) tap.place = -1;
        shared[i] = tap;
    }
}

template <class T, int kVector, class Rule>
static __global__ void __launch_bounds__(kRegionThreads) pool_regions(const T* x, T* y, Rule rule, RegionSizes sizes) {
    using V = Vector<T, kVector>;
    __shared__ float results[kWarp * kVector][kRegionBins + 1];
    __shared__ Tap taps[kRegionTaps];
    const int lane = threadIdx.x % sizes.lanes, thread = threadIdx.x;
    const int bins = sizes.row_bins * sizes.column_bins;
    for (int64_t tile = blockIdx.x; tile < sizes.tiles; tile += gridDim.x) {
        const int first_bin = static_cast<int>(tile % sizes.bin_tiles) * kRegionBins;
        const int64_t first_channel = tile / sizes.bin_tiles % sizes.channel_tiles * sizes.lanes * kVector;
        const int64_t index = tile / sizes.bin_tiles / sizes.channel_tiles, image = index / sizes.per_image;
        const int64_t channel = first_channel + lane * kVector;
        const int rest = bins - first_bin < kRegionBins ? bins - first_bin : kRegionBins;
        const auto region = rule.region(index);
        const int64_t row_taps = region.rows.taps(), column_taps = region.columns.taps();
        constexpr bool kOwnTaps = decltype(region.rows)::kOwnTaps;
        const int row_spans = kOwnTaps ? bins : sizes.row_bins, column_spans = kOwnTaps ? bins : sizes.column_bins;
        const bool fits = row_taps * row_spans + column_taps * column_spans <= kRegionTaps;
        Tap* const column_start = taps + (fits ? row_taps * row_spans : 0);
        if (fits) {
            share_taps(region.rows, row_spans, taps);
            share_taps(region.columns, column_spans, column_start);
        }
        __syncthreads();
        const SharedTaps<decltype(region.rows)> rows{region.rows, fits ? taps : nullptr};
        const SharedTaps<decltype(region.columns)> columns{region.columns, fits ? column_start : nullptr};
        const int64_t width = sizes.widths[region.level];
        const T* from =
            x + sizes.starts[region.level] + image * sizes.heights[region.level] * width * sizes.channels + channel;
        for (int i = thread / sizes.lanes; i < rest; i += kRegionThreads / sizes.lanes) {
            const int bin = first_bin + i;
            const int row_bin = kOwnTaps ? bin : bin / sizes.column_bins;
            const int column_bin = kOwnTaps ? bin : bin % sizes.column_bins;
            float sums[kVector] = {};
            for (int64_t r = 0; r < row_taps && channel < sizes.channels; ++r) {
                const Tap row = rows.at(row_bin, r);
                if (row.place < 0) continue;
                const T* line = from + row.place * width * sizes.channels;
                for (int64_t c = 0; c < column_taps; ++c) {
                    const Tap column = columns.at(column_bin, c);
                    if (column.place < 0) continue;
                    const float weight = row.weight * column.weight;
                    const V cell = *reinterpret_cast<const V*>(line + column.place * sizes.channels);
#pragma unroll
                    for (int v = 0; v < kVector; ++v) sums[v] += weight * to_float(cell.values[v]);
                }
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
    const bool fits = sizes.channels % 4 == 0 && is_aligned<T, 4>(workspace);
    return fits ? run(std::integral_constant<int, 4>()) : run(std::integral_constant<int, 1>());
}

}  // namespace detforge
