// Plan: up to kBins bins, a thread takes one side into registers: its maximum, then both sums. The loops over 16 and 17
// bins, the usual numbers, are unrolled for them. 16 bins are whole vectors of 16 bytes and come straight from memory.
// Otherwise a block copies the logits of 128 sides, which are contiguous, to shared memory with reads of 16 bytes. More
// bins: a warp for each side. Boxes are finished before anything is written, and a block writes 128 contiguous values.
//
// Bytes: 4r logits in, 4 values out per point (3 more in for boxes). Operations: an exponential, 2 additions, 2
// products and a comparison per logit, 8 to 10 instructions. Floor for 8400 points of 17 bins at 4.8 TB/s: 0.5 us in
// float, so that one image is the time of a launch. 128 images on an H200 run as fast as a copy, but with 17 bins in half
// precision at 89 % of its speed, where instructions bind it.
#include <cmath>
#include <type_traits>

#include "../core/device.h"
#include "kernel.h"

namespace detforge {
namespace {

constexpr int kSides = 128;  // of a block, and its threads
constexpr int kBins = 33;

// Where the result goes; points and strides are nullptr for distances.
template <class T>
struct Result {
    const T *points, *strides;
    T* y;
    int64_t point_count;

    __device__ void write(int64_t side, float distance) const {
        if (points != nullptr) {
            const int64_t point = side / 4 % point_count;
            const int of_four = static_cast<int>(side % 4);
            distance = side_of_box(distance, to_float(strides[point]), to_float(points[2 * point + of_four % 2]),
                                   of_four);
        }
        y[side] = from_float<T>(distance);
    }
};

// exp(x - y). In half precision one product and sum does, with an error of 2^-23 times x; larger numbers overflow in it.
template <class T>
__device__ float exp_of_difference(float x, float y) {
    if constexpr (std::is_same_v<T, __half>) return fast_exp2(fmaf(x, kLog2E, -y * kLog2E));
    return fast_exp(x - y);
}

// The quotient, within 2 ulp of 16-bit values.
template <class T>
__device__ float value_of(const Expectation& expectation) {
    if constexpr (sizeof(T) == 2) return __fdividef(expectation.weighted, expectation.sum);
    return expectation.value();
}

// A side's bins lie in registers: kExact of them, or if that is 0 any number up to kBins.
template <class T, int kExact>
__global__ void __launch_bounds__(kSides) expectations(const T* logits, Result<T> result, int64_t sides,
                                                       int given_bins, bool is_vector) {
    constexpr int kMost = kExact > 0 ? kExact : kBins, kVector = 16 / static_cast<int>(sizeof(T));
    constexpr bool kOwnVectors = kExact > 0 && kExact % kVector == 0;  // each row is whole vectors: no need to share
    constexpr int kVectors = divide_up(kMost, kVector);                // of a row, and a thread's share of the block's
    using V = Vector<T, kVector>;
    __shared__ V shared[kOwnVectors ? 1 : kSides * kVectors];
    const int thread = threadIdx.x, bins = kExact > 0 ? kExact : given_bins;
    for (int64_t first = static_cast<int64_t>(blockIdx.x) * kSides; first < sides;
         first += static_cast<int64_t>(gridDim.x) * kSides) {
        const int count = static_cast<int>(sides - first < kSides ? sides - first : kSides);
        const T* from = logits + first * bins;  // first is a multiple of 128: as well aligned as logits
        const V* vectors = reinterpret_cast<const V*>(from);
        V own_vectors[kOwnVectors ? kVectors : 1];
        const T* own = own_vectors->values;
        if constexpr (kOwnVectors) {
            if (thread >= count) return;  // of the last rows, and the kernel shares nothing
#pragma unroll
            for (int k = 0; k < kVectors; ++k) {
                if (is_vector) {
                    own_vectors[k] = vectors[thread * kVectors + k];
                } else {
                    for (int v = 0; v < kVector; ++v) own_vectors[k].values[v] = from[thread * bins + k * kVector + v];
                }
            }
        } else {
            const int whole = is_vector ? count * bins / kVector : 0;
#pragma unroll
            for (int k = 0; k < kVectors; ++k) {
                const int i = k * kSides + thread;
                if (i < whole) shared[i] = vectors[i];
            }
#pragma unroll 1
            for (int i = whole * kVector + thread; i < count * bins; i += kSides) {
                shared[i / kVector].values[i % kVector] = from[i];
            }
            __syncthreads();
            own = reinterpret_cast<const T*>(shared) + thread * bins;
        }
        if (thread < count) {
            float row[kMost], maximum = -INFINITY;  // a NaN is passed over here and makes the sums NaN
#pragma unroll
            for (int bin = 0; bin < kMost; ++bin) {
                row[bin] = bin < bins ? to_float(own[bin]) : -INFINITY;
                maximum = fmaxf(maximum, row[bin]);
            }
            Expectation expectation;
#pragma unroll
            for (int bin = 0; bin < kMost; ++bin) {
                if (bin < bins) expectation.add(exp_of_difference<T>(row[bin], maximum), static_cast<float>(bin));
            }
            result.write(first + thread, value_of<T>(expectation));
        }
        if constexpr (!kOwnVectors) __syncthreads();
    }
}

template <class T>
__global__ void __launch_bounds__(kSides) many_expectations(const T* logits, Result<T> result, int64_t sides,
                                                            int64_t bins) {
    constexpr int kWarps = kSides / kWarp;
    const int lane = threadIdx.x % kWarp;
    for (int64_t side = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / kWarp; side < sides;
         side += static_cast<int64_t>(gridDim.x) * kWarps) {
        const T* from = logits + side * bins;
        float maximum = -INFINITY;
        for (int64_t bin = lane; bin < bins; bin += kWarp) maximum = fmaxf(maximum, to_float(from[bin]));
        for (int step = kWarp / 2; step > 0; step /= 2) {
            maximum = fmaxf(maximum, __shfl_xor_sync(kWholeWarp, maximum, step));
        }
        Expectation expectation;
        for (int64_t bin = lane; bin < bins; bin += kWarp) {
            expectation.add(fast_exp(to_float(from[bin]) - maximum), static_cast<float>(bin));
        }
        for (int step = kWarp / 2; step > 0; step /= 2) {
            expectation.sum += __shfl_xor_sync(kWholeWarp, expectation.sum, step);
            expectation.weighted += __shfl_xor_sync(kWholeWarp, expectation.weighted, step);
        }
        if (lane == 0) result.write(side, expectation.value());
    }
}

template <class T>
int decode(const Tensor& logits, const void* points, const void* strides, void* y, void* stream) {
    const int64_t sides = logits[0] * logits[1] * 4, bins = logits[2] / 4;
    const T* from = logits.as<const T>();
    const Result<T> result{static_cast<const T*>(points), static_cast<const T*>(strides), static_cast<T*>(y),
                           logits[1]};
    if (bins > kBins) {
        return launch(many_expectations<T>, divide_up<int64_t>(sides, kSides / kWarp), kSides, stream, from, result,
                      sides, bins);
    }
    const auto run = bins == 16 ? expectations<T, 16> : bins == 17 ? expectations<T, 17> : expectations<T, 0>;
    return launch(run, divide_up<int64_t>(sides, kSides), kSides, stream, from, result, sides, static_cast<int>(bins),
                  is_aligned<T, 16 / static_cast<int>(sizeof(T))>(from));
}

}  // namespace

int Dfl::cuda(const Call& call, DType dtype, void*, void* stream) {
    return with_type(dtype, [&](auto zero) {
        return decode<decltype(zero)>(call.inputs[0], nullptr, nullptr, call.output.data, stream);
    });
}

int DflBoxes::cuda(const Call& call, DType dtype, void*, void* stream) {
    const Tensor* inputs = call.inputs;
    return with_type(dtype, [&](auto zero) {
        return decode<decltype(zero)>(inputs[0], inputs[1].data, inputs[2].data, call.output.data, stream);
    });
}

}  // namespace detforge
