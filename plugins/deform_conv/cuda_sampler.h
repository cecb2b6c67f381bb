// Panels of samples: where they lie, and their interpolation.
#pragma once

#include <cstring>

#include "cuda_plan.h"

namespace detforge::deform_conv {

// A step of the inner dimension: kChunks chunks of channels at one tap. Taps follow each other fastest, so that the
// pixels that they share stay in the first-level cache; `first_tap` is the first of those whose places are known.
struct Step {
    int segment, first_tap, chunk, tap;

    __device__ Step(const Layout& layout, int taps_at_once, int index) {
        const int steps_per_tap = layout.chunks / kChunks, of_segment = index % (layout.taps * steps_per_tap);
        const int of_block = of_segment % (steps_per_tap * taps_at_once);
        segment = index / (layout.taps * steps_per_tap);
        first_tap = of_segment / (steps_per_tap * taps_at_once) * taps_at_once;
        const int taps = taps_from(layout, taps_at_once);
        chunk = of_block / taps * kChunks, tap = first_tap + of_block % taps;
    }
    __device__ int taps_from(const Layout& layout, int taps_at_once) const {
        return layout.taps - first_tap < taps_at_once ? layout.taps - first_tap : taps_at_once;
    }
    // Returns whether the samples lie at other places than known.
    __device__ bool advance(const Layout& layout, int taps_at_once) {
        if (++tap < first_tap + taps_from(layout, taps_at_once)) return false;
        tap = first_tap;
        chunk += kChunks;
        if (chunk < layout.chunks) return false;
        chunk = 0;
        first_tap += taps_at_once;
        if (first_tap >= layout.taps) first_tap = 0, ++segment;
        tap = first_tap;
        return true;
    }
};

// Where the samples of kPoints points lie at a few taps: the pixels' chunks, and what they are multiplied by.
template <class T>
struct Places {
    uint4* pixels;
    Vector<T, 4>* weights;
    T* masks;
};

// A block's tile.
struct Tile {
    int64_t image, group, first_output, first_point;
};

template <class T>
__device__ void find(const Places<T>& places, const DeformConvCall& call, const Layout& layout, const Tile& tile,
                     const Step& step, int taps) {
    constexpr int kApart = kThreads / kPoints, kEach = (kMostTaps + kApart - 1) / kApart;
    const int64_t points = call.points(), point = tile.first_point + threadIdx.x % kPoints;
    const int64_t channel = tile.group * call.group_channels() + step.segment * layout.segment;
    const int64_t offset_group = channel / call.offset_group_channels();
    const int64_t start = (tile.image * call.offset_groups + offset_group) * layout.taps + step.first_tap;
    const unsigned row = static_cast<unsigned>(point) / static_cast<unsigned>(call.out_width);
    const unsigned column = static_cast<unsigned>(point) % static_cast<unsigned>(call.out_width);
    const unsigned pixel_chunks = static_cast<unsigned>(call.channels / kVector<T>);
    const unsigned pixels = static_cast<unsigned>(call.height * call.width);
    const unsigned image = static_cast<unsigned>(tile.image) * pixels;
    const unsigned zeros = static_cast<unsigned>(call.batch) * pixels;
    float y[kEach], x[kEach], mask[kEach];
#pragma unroll
    for (int i = 0; i < kEach; ++i) {  // all are on their way before the first is used
        const int tap = static_cast<int>(threadIdx.x) / kPoints + i * kApart;
        const bool is_here = tap < taps && point < points;
        const T* offset = static_cast<const T*>(call.offset) + 2 * (start + tap) * points + point;
        y[i] = is_here ? to_float(offset[0]) : 0.0f;
        x[i] = is_here ? to_float(offset[points]) : 0.0f;
        mask[i] = 1.0f;
        if (is_here && call.mask != nullptr) {
            mask[i] = to_float(static_cast<const T*>(call.mask)[(start + tap) * points + point]);
        }
    }
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
        const int place = static_cast<int>(threadIdx.x) / kPoints + i * kApart, tap = step.first_tap + place;
        if (place >= taps) continue;
        const unsigned kernel_width = static_cast<unsigned>(call.kernel_width), number = static_cast<unsigned>(tap);
        y[i] += tap_position(row, number / kernel_width, call.stride[0], call.pad[0], call.dilation[0]);
        x[i] += tap_position(column, number % kernel_width, call.stride[1], call.pad[1], call.dilation[1]);
        BilinearSample sample{{-1, -1, -1, -1}, {0.0f, 0.0f, 0.0f, 0.0f}};
        if (point < points) {
            sample = bilinear_sample(y[i], x[i], static_cast<int>(call.height), static_cast<int>(call.width));
        }
        unsigned from[4];
        Vector<T, 4> weights;
#pragma unroll
        for (int corner = 0; corner < 4; ++corner) {
            const int pixel = sample.pixel[corner];
            from[corner] = (pixel < 0 ? zeros : image + static_cast<unsigned>(pixel)) * pixel_chunks;
            weights.values[corner] = from_float<T>(sample.weight[corner]);
        }
        const int at = place * kPoints + static_cast<int>(threadIdx.x) % kPoints;
        places.pixels[at] = {from[0], from[1], from[2], from[3]};
        places.weights[at] = weights;
        places.masks[at] = from_float<T>(mask[i]);
    }
}

__device__ inline float multiply_add(float a, float b, float c) { return a * b + c; }
__device__ inline float times(float a, float b) { return a * b; }
__device__ inline __half2 multiply_add(__half2 a, __half2 b, __half2 c) { return __hfma2(a, b, c); }
__device__ inline __half2 times(__half2 a, __half2 b) { return __hmul2(a, b); }
__device__ inline __nv_bfloat162 multiply_add(__nv_bfloat162 a, __nv_bfloat162 b, __nv_bfloat162 c) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800  // no such instruction
    return {from_float<__nv_bfloat16>(to_float(a.x) * to_float(b.x) + to_float(c.x)),
            from_float<__nv_bfloat16>(to_float(a.y) * to_float(b.y) + to_float(c.y))};
#else
    return __hfma2(a, b, c);
#endif
}
__device__ inline __nv_bfloat162 times(__nv_bfloat162 a, __nv_bfloat162 b) { return __hmul2(a, b); }
__device__ inline float in_word(float x) { return x; }
__device__ inline __half2 in_word(__half x) { return {x, x}; }
__device__ inline __nv_bfloat162 in_word(__nv_bfloat16 x) { return {x, x}; }

// What a thread brings to each panel of samples: one chunk of 4 points. fetch() begins to read it, store() finishes it.
template <class T>
class Sampler {
    using W = typename Word<T>::type;
    static constexpr int kWords = 16 / sizeof(W), kApart = kThreads / kChunks;

  public:
    static constexpr int kEach = kPoints / kApart;

    __device__ Sampler(const Places<T>& places, const uint4* x) : places_(places), x_(x) {}

    __device__ void go_to(const Layout& layout, const Tile& tile, const Step& step) {
        const int chunk = step.chunk + static_cast<int>(threadIdx.x) % kChunks;
        from_ = x_ + (tile.group * layout.given_group + step.segment * layout.given + chunk);
        is_channel_ = chunk < layout.given;
        first_ = (step.tap - step.first_tap) * kPoints + static_cast<int>(threadIdx.x) / kChunks;
    }
    __device__ void fetch(int i) {
        const uint4 pixels = places_.pixels[first_ + i * kApart];
        if (!is_channel_) return;
        pixels_[0] = from_[pixels.x], pixels_[1] = from_[pixels.y];
        pixels_[2] = from_[pixels.z], pixels_[3] = from_[pixels.w];
    }
    __device__ void store(uint4* panel, int i) const {
        const int chunk = static_cast<int>(threadIdx.x) % kChunks;
        const int row = static_cast<int>(threadIdx.x) / kChunks + i * kApart;
        uint4 result{};
        if (is_channel_) {  // others stay 0 whatever the mask is
            const Vector<T, 4> weights = places_.weights[first_ + i * kApart];
            const W mask = in_word(places_.masks[first_ + i * kApart]);
            W values[4][kWords], sums[kWords];
            std::memcpy(values, pixels_, sizeof(values));
#pragma unroll
            for (int v = 0; v < kWords; ++v) {
                sums[v] = times(in_word(weights.values[0]), values[0][v]);
#pragma unroll
                for (int corner = 1; corner < 4; ++corner) {
                    sums[v] = multiply_add(in_word(weights.values[corner]), values[corner][v], sums[v]);
                }
                sums[v] = times(sums[v], mask);
            }
            std::memcpy(&result, sums, sizeof(result));
        }
        panel[row * kChunks + (chunk ^ row % kChunks)] = result;
    }

  private:
    Places<T> places_;
    const uint4 *x_, *from_ = nullptr;
    bool is_channel_ = false;
    int first_ = 0;
    uint4 pixels_[4]{};  // whole: taken apart, they would be waited for before the product
};

}  // namespace detforge::deform_conv
