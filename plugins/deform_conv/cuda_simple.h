// The simple kernel, for what panels do not fit.
#pragma once

#include "cuda_plan.h"

namespace detforge::deform_conv {

// The simple kernel: points of a block, outputs of each thread, channels whose weights are shared at a time.
constexpr int kSimplePoints = 128, kSideBySide = 32, kShared = 32;

// The sample of a tap at a point, and what it is multiplied by: 1 where there is no mask.
struct Tap {
    BilinearSample sample;
    float mask;
};

template <class T>
__device__ Tap find_tap(const DeformConvCall& call, int64_t image, int64_t offset_group, int64_t tap, int64_t point) {
    const int64_t points = call.points(), index = (image * call.offset_groups + offset_group) * call.taps() + tap;
    const T* offset = static_cast<const T*>(call.offset) + 2 * index * points + point;
    const int64_t row = point / call.out_width, column = point % call.out_width;
    const int64_t tap_row = tap / call.kernel_width, tap_column = tap % call.kernel_width;
    const float y = tap_position(row, tap_row, call.stride[0], call.pad[0], call.dilation[0]) + to_float(offset[0]);
    const float x =
        tap_position(column, tap_column, call.stride[1], call.pad[1], call.dilation[1]) + to_float(offset[points]);
    const float mask = call.mask == nullptr ? 1.0f : to_float(static_cast<const T*>(call.mask)[index * points + point]);
    return {bilinear_sample(y, x, static_cast<int>(call.height), static_cast<int>(call.width)), mask};
}

template <class T>
static __global__ void __launch_bounds__(kSimplePoints) convolve_simply(const DeformConvCall call, int64_t segment,
                                                                        int64_t tiles) {
    __shared__ float weights[kShared][kSideBySide];
    const int64_t group_outputs = call.group_outputs(), points = call.points(), taps = call.taps();
    const int64_t pixels = call.height * call.width, row = call.group_channels() * taps;
    const int64_t output_tiles = divide_up<int64_t>(group_outputs, kSideBySide);
    const int64_t point_tiles = divide_up<int64_t>(points, kSimplePoints);
    for (int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        const int64_t point = tile % point_tiles * kSimplePoints + threadIdx.x;
        const int64_t first = tile / point_tiles % output_tiles * kSideBySide;
        const int64_t group = tile / point_tiles / output_tiles % call.groups;
        const int64_t image = tile / point_tiles / output_tiles / call.groups;
        const int64_t first_output = group * group_outputs + first, first_channel = group * call.group_channels();
        const int count = static_cast<int>(group_outputs - first < kSideBySide ? group_outputs - first : kSideBySide);
        const T* weight = static_cast<const T*>(call.weight) + first_output * row;
        const T* x = static_cast<const T*>(call.x) + (image * call.channels + first_channel) * pixels;
        float sums[kSideBySide] = {};
        // The channels of a segment share their samples' places.
        for (int64_t i = 0; i < call.group_channels() / segment * taps; ++i) {
            const int64_t tap = i % taps, start = i / taps * segment, end = start + segment;
            Tap now{{{-1, -1, -1, -1}, {0.0f, 0.0f, 0.0f, 0.0f}}, 0.0f};
            if (point < points) {
                now = find_tap<T>(call, image, (first_channel + start) / call.offset_group_channels(), tap, point);
            }
            for (int64_t panel = start; panel < end; panel += kShared) {
                const int channels = static_cast<int>(end - panel < kShared ? end - panel : kShared);
                __syncthreads();
                for (int k = threadIdx.x; k < channels * kSideBySide; k += kSimplePoints) {
                    const int c = k / kSideBySide, output = k % kSideBySide;
                    const int64_t place = output * row + (panel + c) * taps + tap;
                    weights[c][output] = output < count ? to_float(weight[place]) : 0.0f;
                }
                __syncthreads();
#pragma unroll 4
                for (int c = 0; c < channels; ++c) {
                    const T* from = x + (panel + c) * pixels;
                    float value = 0.0f;
#pragma unroll
                    for (int corner = 0; corner < 4; ++corner) {
                        const int pixel = now.sample.pixel[corner];
                        if (pixel >= 0) value += now.sample.weight[corner] * to_float(from[pixel]);
                    }
                    value *= now.mask;
#pragma unroll
                    for (int output = 0; output < kSideBySide; ++output) sums[output] += value * weights[c][output];
                }
            }
        }
        T* y = static_cast<T*>(call.y) + (image * call.outputs + first_output) * points + point;
#pragma unroll
        for (int output = 0; output < kSideBySide; ++output) {
            if (output >= count || point >= points) continue;
            const float bias = to_float(static_cast<const T*>(call.bias)[first_output + output]);
            y[output * points] = from_float<T>(sums[output] + bias);
        }
    }
}

template <class T>
int simply(const DeformConvCall& call, void* stream) {
    const int64_t tiles = call.batch * call.groups * divide_up<int64_t>(call.group_outputs(), kSideBySide) *
                          divide_up<int64_t>(call.points(), kSimplePoints);
    return launch<DeformConvCall, int64_t, int64_t>(convolve_simply<T>, tiles, kSimplePoints, stream, call,
                                                    segment_of(call), tiles);
}

}  // namespace detforge::deform_conv
