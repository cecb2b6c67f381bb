// Plan: x is copied channels last (core/device.h). Then a block takes 8 boxes, 32 borders, and up to 128 channels of
// each group; the channels of a border lie on as many lanes as they have vectors, so 64 channels in vectors of 8 put
// four borders on a warp. Each lane of a border finds the place of one sample; by shuffles all lanes take the samples
// in turn, and read 4 vectors of channels that are contiguous over the lanes. The results are turned in shared memory:
// boxes and sides are contiguous in y.
//
// Bytes: the copy reads and writes x; x is then read from caches, 16 bytes times the size of an element per 4 samples'
// channel; y is written once. Floor for x (1, 256, 100, 100), 10^4 boxes, pool 10, in float: 31 MB of memory, 6.4 us at
// 4.8 TB/s. But 4 x 11 x 4 x 64 x 10^4 values, 450 MB, pass the first-level caches: 16 us at 128 bytes a clock for each
// of 132 processors, 8 us in half precision. Operations: 4 multiply-adds and a maximum per sample and channel, and some
// 40 instructions per sample and vector. Not measured here.
#include <cmath>

#include "../core/device.h"
#include "kernel.h"

namespace detforge {
namespace {

constexpr int kThreads = 256;
constexpr int kBorders = 32;  // of a block: 8 boxes

// Channels of a group that a block takes.
template <int kVector>
constexpr int kChannels = kVector == 1 ? kWarp : 128;

struct Sizes {
    int64_t channels, boxes;  // of a group, of an image
    int height, width;
    int64_t pool_size;
    int lanes;  // of a border, a power of 2
    int64_t channel_tiles, box_tiles, tiles;
};

template <class T, int kVector>
__global__ void __launch_bounds__(kThreads) pool(const T* x, const T* boxes, T* y, Sizes sizes) {
    using V = Vector<T, kVector>;
    __shared__ float results[kChannels<kVector>][kBorders + 1];
    const int lane = threadIdx.x % sizes.lanes, thread = threadIdx.x;
    const int64_t pixels = static_cast<int64_t>(sizes.height) * sizes.width;
    for (int64_t tile = blockIdx.x; tile < sizes.tiles; tile += gridDim.x) {
        const int64_t first_border = tile % sizes.box_tiles * kBorders;
        const int64_t first_channel = tile / sizes.box_tiles % sizes.channel_tiles * sizes.lanes * kVector;
        const int64_t image = tile / sizes.box_tiles / sizes.channel_tiles;
        const int64_t channel = first_channel + lane * kVector;
        const int rest = static_cast<int>(sizes.boxes * 4 - first_border < kBorders ? sizes.boxes * 4 - first_border
                                                                                    : kBorders);
        for (int i = thread / sizes.lanes; i < kBorders; i += kThreads / sizes.lanes) {
            // All lanes go through all samples, as they shuffle; those without a border take the last one's.
            const int64_t border_index = first_border + (i < rest ? i : rest - 1);
            const int side = static_cast<int>(border_index % 4);
            const T* corners = boxes + (image * sizes.boxes + border_index / 4) * 4;
            const float box[4] = {to_float(corners[0]), to_float(corners[1]), to_float(corners[2]),
                                  to_float(corners[3])};
            const Border border = border_of(box, side);
            const T* from = x + (image * 4 + side) * pixels * sizes.channels + channel;
            float maxima[kVector];
            for (float& value : maxima) value = -INFINITY;
            for (int64_t start = 0; start <= sizes.pool_size; start += sizes.lanes) {
                const float step = static_cast<float>(start + lane) / static_cast<float>(sizes.pool_size);
                const float px = along_border(border.start_x, border.run_x, step);
                const float py = along_border(border.start_y, border.run_y, step);
                Neighbours mine_x{-1, -1, 0.0f}, mine_y{-1, -1, 0.0f};
                if (is_inside(px, sizes.width) && is_inside(py, sizes.height)) {
                    mine_x = neighbours(px, sizes.width);
                    mine_y = neighbours(py, sizes.height);
                }
                const int64_t count = sizes.pool_size + 1 - start;
                for (int t = 0; t < sizes.lanes && t < count; ++t) {
                    const int left = __shfl_sync(kWholeWarp, mine_x.low, t, sizes.lanes);
                    const int top = __shfl_sync(kWholeWarp, mine_y.low, t, sizes.lanes);
                    const float fraction_x = __shfl_sync(kWholeWarp, mine_x.fraction, t, sizes.lanes);
                    const float fraction_y = __shfl_sync(kWholeWarp, mine_y.fraction, t, sizes.lanes);
                    if (channel >= sizes.channels) continue;
                    if (left < 0) {
                        for (float& value : maxima) value = nan_max(value, 0.0f);
                        continue;
                    }
                    const int64_t right = left + 1 < sizes.width ? sizes.channels : 0;
                    const int64_t below = top + 1 < sizes.height ? sizes.width * sizes.channels : 0;
                    const T* pixel = from + (static_cast<int64_t>(top) * sizes.width + left) * sizes.channels;
                    const V a = *reinterpret_cast<const V*>(pixel);
                    const V b = *reinterpret_cast<const V*>(pixel + right);
                    const V c = *reinterpret_cast<const V*>(pixel + below);
                    const V d = *reinterpret_cast<const V*>(pixel + below + right);
                    const float lower = fraction_y, upper = 1.0f - fraction_y;
                    const float of_b = fraction_x * upper, of_a = upper - of_b;
                    const float of_d = fraction_x * lower, of_c = lower - of_d;
#pragma unroll
                    for (int v = 0; v < kVector; ++v) {
                        const float value = of_a * to_float(a.values[v]) + of_b * to_float(b.values[v]) +
                                            of_c * to_float(c.values[v]) + of_d * to_float(d.values[v]);
                        maxima[v] = nan_max(maxima[v], value);
                    }
                }
            }
#pragma unroll
            for (int v = 0; v < kVector; ++v) results[lane * kVector + v][i] = maxima[v];
        }
        __syncthreads();
        const int64_t left_channels = sizes.channels - first_channel;
        const int column = thread % kBorders;
        for (int c = thread / kBorders; c < sizes.lanes * kVector && c < left_channels; c += kThreads / kBorders) {
            T* to = y + ((image * sizes.channels + first_channel + c) * sizes.boxes) * 4 + first_border;
            if (column < rest) to[column] = from_float<T>(results[c][column]);
        }
        __syncthreads();
    }
}

template <class T, int kVector>
int launch_pool(const T* x, const Call& call, void* stream) {
    const Tensor& map = call.inputs[0];
    Sizes sizes{map[1] / 4, call.inputs[1][1], static_cast<int>(map[2]), static_cast<int>(map[3]), call.attributes[0],
                1, 0, 0, 0};
    while (sizes.lanes * kVector < kChannels<kVector> && sizes.lanes * kVector < sizes.channels) sizes.lanes *= 2;
    sizes.channel_tiles = divide_up<int64_t>(sizes.channels, sizes.lanes * kVector);
    sizes.box_tiles = divide_up<int64_t>(sizes.boxes, kBorders / 4);
    sizes.tiles = sizes.box_tiles * sizes.channel_tiles * map[0];
    return launch(pool<T, kVector>, sizes.tiles, kThreads, stream, x, call.inputs[1].as<const T>(),
                  call.output.as<T>(), sizes);
}

template <class T>
int align(const Call& call, void* workspace, void* stream) {
    const Tensor& x = call.inputs[0];
    if (call.output.size() == 0) return cudaSuccess;
    const int64_t channels = x[1] / 4;
    const int error = launch_channels_last<T>(x.data, workspace, x[0] * 4, channels, x[2] * x[3], stream);
    if (error != cudaSuccess) return error;
    const auto fits = [&](auto size) { return channels % size == 0 && is_aligned<T, size>(workspace); };
    const auto run = fits(std::integral_constant<int, 8>{})   ? launch_pool<T, 8>
                     : fits(std::integral_constant<int, 4>{}) ? launch_pool<T, 4>
                                                              : launch_pool<T, 1>;
    return run(static_cast<const T*>(workspace), call, stream);
}

}  // namespace

int BorderAlign::cuda(const Call& call, DType dtype, void* workspace, void* stream) {
    return with_type(dtype, [&](auto zero) { return align<decltype(zero)>(call, workspace, stream); });
}

}  // namespace detforge
