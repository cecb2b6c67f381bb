// Plan: x is copied channels last (core/device.h). Then a block takes 8 boxes, 32 borders, and 8 lanes take a border,
// each with a vector of up to 8 channels: a pixel's 64 channels in half precision are 128 contiguous bytes. The block's
// threads first find the samples of all borders, 16 of each at a time: where their four pixels are and their weights,
// into shared memory. Then a lane goes through its border's samples, and reads where the next one is before it blends
// this one. The results are turned in shared memory: boxes and sides are contiguous in y, and a box's four sides are
// written together.
//
// Bytes: the copy reads and writes x; x is then read from caches, 16 bytes times the size of an element per 4 samples'
// channel; y is written once. Floor for x (1, 256, 100, 100), 10^4 boxes, pool 10, in float: 31 MB of memory, 7.2 us
// at 4.3 TB/s. But 4 x 11 x 4 x 64 x 10^4 values, 450 MB, pass the first-level caches: 16 us at 128 bytes a clock for
// each of 132 processors, 8 us in half precision. Operations: 4 multiply-adds, in half precision 4 conversions, and a
// maximum per sample and channel. On sm_90 in half precision a sample takes 88 instructions per vector, 72 of them
// these: 13 us at 4 instructions a clock for each of 132 processors. With the copy it takes 29 us on an
// H200, and 54 us in float.
#include <cmath>

#include "../core/device.h"
#include "kernel.h"

namespace detforge {
namespace {

constexpr int kThreads = 256;
constexpr int kLanes = 8;                        // of a border
constexpr int kBorders = kThreads / kLanes;      // of a block
constexpr int kBoxes = kBorders / kBorderSides;  // of a block
constexpr int kSamples = 16;                     // of each border in shared memory at a time

struct Sizes {
    int64_t images, boxes;  // boxes of an image
    int channels;           // of a group
    int height, width, pool_size;
};

// Where the four pixels of a sample are in their group, in vectors, and their weights.
struct alignas(16) Places {
    unsigned upper_left, upper_right, lower_left, lower_right;
};
struct alignas(16) Weights {
    float upper_left, upper_right, lower_left, lower_right;
};
struct Sample {
    Places places;
    Weights weights;
};
constexpr unsigned kOutside = ~0u;  // all of a sample outside of the image

__device__ void find_sample(const Border& border, int t, const Sizes& sizes, unsigned pixel_vectors, Sample& sample) {
    const float step = static_cast<float>(t) / static_cast<float>(sizes.pool_size);
    const float px = along_border(border.start_x, border.run_x, step);
    const float py = along_border(border.start_y, border.run_y, step);
    if (!is_inside(px, sizes.width) || !is_inside(py, sizes.height)) {
        sample.places.upper_left = kOutside;
        return;
    }
    const Neighbours x = neighbours(px, sizes.width), y = neighbours(py, sizes.height);
    const unsigned row = sizes.width * pixel_vectors, left = x.low * pixel_vectors, right = x.high * pixel_vectors;
    sample.places = {y.low * row + left, y.low * row + right, y.high * row + left, y.high * row + right};
    const float of_lower = y.fraction, of_upper = 1.0f - of_lower;
    const float upper_right = x.fraction * of_upper, lower_right = x.fraction * of_lower;
    sample.weights = {of_upper - upper_right, upper_right, of_lower - lower_right, lower_right};
}

template <class T, int kVector>
__global__ void __launch_bounds__(kThreads, 4) pool(const T* x, const float* boxes, T* y, Sizes sizes) {
    using V = Vector<T, kVector>;
    constexpr int kChannels = kLanes * kVector;
    __shared__ Sample samples[kSamples + 1][kBorders];  // the last is read and not used
    __shared__ V results[kBorders][kLanes + 1];
    const int thread = threadIdx.x, lane = thread % kLanes, own = thread / kLanes;
    const int made = thread % kBorders, side = made % kBorderSides;  // the border whose samples the thread makes
    const int64_t group = static_cast<int64_t>(sizes.height) * sizes.width * sizes.channels;
    for (int64_t image = blockIdx.z; image < sizes.images; image += gridDim.z) {
        for (int first_channel = blockIdx.y * kChannels; first_channel < sizes.channels;
             first_channel += gridDim.y * kChannels) {
            const int channel = first_channel + lane * kVector;
            const V* from =
                reinterpret_cast<const V*>(x + (image * kBorderSides + own % kBorderSides) * group + channel);
            for (int64_t first = static_cast<int64_t>(blockIdx.x) * kBoxes; first < sizes.boxes;
                 first += static_cast<int64_t>(gridDim.x) * kBoxes) {
                const int rest = static_cast<int>(sizes.boxes - first < kBoxes ? sizes.boxes - first : kBoxes);
                Border border{};
                if (made < rest * kBorderSides) {
                    border = border_of(boxes + (image * sizes.boxes + first + made / kBorderSides) * 4, side);
                }
                float maxima[kVector];
                for (float& value : maxima) value = -INFINITY;
                for (int start = 0; start <= sizes.pool_size; start += kSamples) {
                    const int left = sizes.pool_size + 1 - start, count = left < kSamples ? left : kSamples;
                    __syncthreads();
#pragma unroll 1
                    for (int s = thread / kBorders; s < count; s += kThreads / kBorders) {
                        find_sample(border, start + s, sizes, sizes.channels / kVector, samples[s][made]);
                    }
                    __syncthreads();
                    if (channel >= sizes.channels) continue;
                    const Sample *sample = &samples[0][own], *end = &samples[count][own];
                    Places at = sample->places;
                    for (; sample != end; sample += kBorders) {
                        const Weights of = sample->weights;
                        const Places next = sample[kBorders].places;  // early, as addresses depend on it
                        if (at.upper_left == kOutside) {
                            for (float& value : maxima) value = nan_max(value, 0.0f);
                        } else {
                            const V a = from[at.upper_left], b = from[at.upper_right];
                            const V c = from[at.lower_left], d = from[at.lower_right];
#pragma unroll
                            for (int v = 0; v < kVector; ++v) {
                                const float value =
                                    of.upper_left * to_float(a.values[v]) + of.upper_right * to_float(b.values[v]) +
                                    of.lower_left * to_float(c.values[v]) + of.lower_right * to_float(d.values[v]);
                                maxima[v] = nan_max(maxima[v], value);
                            }
                        }
                        at = next;
                    }
                }
                V result;
#pragma unroll
                for (int v = 0; v < kVector; ++v) result.values[v] = from_float<T>(maxima[v]);
                results[own][lane] = result;
                __syncthreads();
                // A warp writes 4 boxes of 8 channels.
                const int box = thread % 4 + thread / kWarp % 2 * 4;
#pragma unroll 2
                for (int c = thread / 4 % 8 + thread / 64 * 8; c < kChannels; c += kThreads / kBoxes) {
                    if (box >= rest || first_channel + c >= sizes.channels) continue;
                    Vector<T, kBorderSides> sides;
#pragma unroll
                    for (int s = 0; s < kBorderSides; ++s) {
                        sides.values[s] = results[box * kBorderSides + s][c / kVector].values[c % kVector];
                    }
                    const int64_t row = image * sizes.channels + first_channel + c;
                    T* to = y + (row * sizes.boxes + first + box) * kBorderSides;
                    if constexpr (kVector > 1) {
                        *reinterpret_cast<Vector<T, kBorderSides>*>(to) = sides;
                    } else {
                        for (int s = 0; s < kBorderSides; ++s) to[s] = sides.values[s];
                    }
                }
            }
        }
    }
}

template <class T, int kVector>
int launch_pool(const T* x, const Call& call, void* stream) {
    const Tensor& map = call.inputs[0];
    const auto whole = [](int64_t size) { return static_cast<int>(size); };
    const Sizes sizes{map[0],        call.inputs[1][1], whole(map[1] / kBorderSides),
                      whole(map[2]), whole(map[3]),     whole(call.attributes[0])};
    const Tiles tiles(divide_up<int64_t>(sizes.boxes, kBoxes), divide_up(sizes.channels, kLanes * kVector),
                      sizes.images);
    return launch(pool<T, kVector>, tiles, kThreads, stream, x, call.inputs[1].as<const float>(),
                  call.output.as<T>(), sizes);
}

template <class T>
int align(const Call& call, void* workspace, void* stream) {
    const Tensor& x = call.inputs[0];
    if (call.output.size() == 0) return cudaSuccess;
    const int64_t channels = x[1] / 4;
    const int error = launch_channels_last<T>(x.data, workspace, x[0] * 4, channels, x[2] * x[3], stream);
    if (error != cudaSuccess) return error;
    const auto fits = [&](auto size) {
        return channels % size == 0 && is_aligned<T, size>(workspace) && is_aligned<T, kBorderSides>(call.output.data);
    };
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
