// Plan, half precision: an implicit GEMM on tensor cores, of 128 outputs x 64 points a block. x is copied channels last
// and the weights are laid out (group, output, segment, tap, channel) in the workspace, where a segment is the most
// channels that share their group and offset group, filled up with zeros to a multiple of 32. So each step of 32 values
// lies in one tap: a thread samples 8 channels of one point, straight into the panel in shared memory that ldmatrix
// reads. Its place and weights are found once for a tap and serve all steps of the tap. While the tensor cores work on
// one panel, the pixels and weights of the next are on their way to registers. Sums are float, the bias is added at the
// end, and results go through shared memory so that points are written contiguously.
//
// Plan, float and all else (segments that are no multiples of 8 channels, fewer than 16 outputs to a group, a workspace
// that is not aligned): a block takes 128 points and 32 outputs, and 32 channels of one tap at a time. A thread samples
// x as it is, at one point, for all 32 outputs, whose weights lie in shared memory: 50 instructions for 32
// multiply-adds.
//
// For (1, 256, 64, 64), 256 outputs, 3 x 3: 4.8 GFLOP, 6 us at 800 TFLOP/s; memory moves 8 MB in half precision, 2 us.
// A block reads half of all weights, 75 MB together, from the second-level cache: 14 us at 5.5 TB/s; each sample is
// made twice, for both tiles of outputs, 150 MB from the first-level caches (5 us) and about 6 us of instructions. The
// cache's rate is expected to set the pace: 2 to 4 times the tensor cores' floor. Not measured here.
#include <cstring>

#include "../core/device.h"
#include "kernel.h"

namespace detforge {
namespace {

constexpr int kThreads = 256;
constexpr int kOutputs = 128, kPoints = 64, kStep = 32;  // of a block; of a panel
constexpr int kVector = 8;                               // 16 bytes
constexpr int64_t kAlignment = 256;

int64_t common_divisor(int64_t a, int64_t b) {
    while (b != 0) {
        const int64_t rest = a % b;
        a = b, b = rest;
    }
    return a;
}

// How the inner dimension of a group's product lies: segments, of them taps, of them channels in steps.
struct Layout {
    int64_t segment, steps_per_tap, segments, row;  // channels; steps; of a group; values of an output's row
};

Layout layout_of(const DeformConvCall& call) {
    Layout layout{common_divisor(call.group_channels(), call.offset_group_channels()), 0, 0, 0};
    if (layout.segment == 0) return layout;
    layout.steps_per_tap = divide_up<int64_t>(layout.segment, kStep);
    layout.segments = call.group_channels() / layout.segment;
    layout.row = layout.segments * call.taps() * layout.steps_per_tap * kStep;
    return layout;
}

bool is_for_tensor_cores(const DeformConvCall& call, DType dtype) {
    const int64_t segment = layout_of(call).segment;
    return dtype != DType::kFloat && segment > 0 && segment % kVector == 0 && call.group_outputs() >= 16;
}

int64_t bytes_of_x(const DeformConvCall& call) {
    return divide_up(call.batch * call.channels * call.height * call.width * 2, kAlignment) * kAlignment;
}

// The sample of a tap at a point, and what it is multiplied by: 1 where there is no mask.
struct Tap {
    BilinearSample sample;
    float mask;
};

template <class T>
__device__ Tap find(const DeformConvCall& call, int64_t image, int64_t offset_group, int64_t tap, int64_t point) {
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
__global__ void __launch_bounds__(kThreads) pack(DeformConvCall call, Layout layout, T* packed, int64_t count) {
    const int64_t stride = static_cast<int64_t>(gridDim.x) * kThreads, width = layout.steps_per_tap * kStep;
    for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < count; i += stride) {
        const int64_t channel = i % width, tap = i / width % call.taps();
        const int64_t segment = i / width / call.taps() % layout.segments, output = i / layout.row;
        const int64_t from = output * call.group_channels() + segment * layout.segment + channel;
        packed[i] = channel < layout.segment ? static_cast<const T*>(call.weight)[from * call.taps() + tap]
                                             : from_float<T>(0.0f);
    }
}

// What the tensor cores multiply: outputs, then points, of kStep values each; a row's end is left free, so that the 8
// rows that ldmatrix reads at a time lie on different banks.
template <class T>
using Panel = Vector<T, kVector>[kOutputs + kPoints][kStep / kVector + 1];

// One warp's 32 outputs x 32 points.
template <class T>
__device__ void multiply_panel(const Panel<T>& panel, float (&sums)[2][4][4], int output, int point, int lane) {
#pragma unroll
    for (int k = 0; k < kStep / kVector; k += 2) {
        uint32_t a[2][4], b[2][4];
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            load_matrices(a[i], &panel[output + i * 16 + lane % 16][k + lane / 16]);
            load_matrices(b[i], &panel[kOutputs + point + i * 16 + lane / 16 * 8 + lane % 8][k + lane / 8 % 2]);
        }
#pragma unroll
        for (int i = 0; i < 2; ++i) {
#pragma unroll
            for (int j = 0; j < 4; ++j) {
                const uint32_t column[2] = {b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]};
                multiply<T>(sums[i][j], a[i], column);
            }
        }
    }
}

// What a thread brings to each panel: 8 channels' samples of one point and 2 vectors of weights. fetch() begins to read
// those of the next step, store() finishes them.
template <class T>
class Producer {
    using V = Vector<T, kVector>;

  public:
    __device__ Producer(const DeformConvCall& call, const Layout& layout, const T* x, const T* weight, int64_t image,
                        int64_t group, int64_t first_output, int64_t first_point)
        : call_(call), layout_(layout), group_(group), image_(image), point_(first_point + threadIdx.x / kParts) {
        x_ = x + image * call.height * call.width * call.channels + group * call.group_channels();
        for (int i = 0; i < 2; ++i) {
            const int64_t output = first_output + row(i);
            is_output_[i] = output < call.group_outputs();
            weight_[i] = weight + (group * call.group_outputs() + output) * layout.row + part() * kVector;
        }
    }

    __device__ void fetch() {
        if (step_ == 0 && point_ < call_.points()) {
            const int64_t first = group_ * call_.group_channels() + segment_ * layout_.segment;
            tap_now_ = find<T>(call_, image_, first / call_.offset_group_channels(), tap_, point_);
        }
        const int64_t channel = step_ * kStep + part() * kVector;
        mask_ = channel < layout_.segment ? tap_now_.mask : 0.0f;  // an infinite one would make NaN of no channel's 0
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            pixels_[i] = {};
            if (channel < layout_.segment && tap_now_.sample.pixel[i] >= 0) {
                const T* from = x_ + tap_now_.sample.pixel[i] * call_.channels + segment_ * layout_.segment + channel;
                pixels_[i] = *reinterpret_cast<const uint4*>(from);
            }
        }
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            weights_[i] = {};
            if (is_output_[i]) weights_[i] = *reinterpret_cast<const uint4*>(weight_[i]);
            weight_[i] += kStep;
        }
        if (++step_ < layout_.steps_per_tap) return;
        step_ = 0;
        if (++tap_ < call_.taps()) return;
        tap_ = 0;
        ++segment_;
    }

    __device__ void store(Panel<T>& panel) const {
        V samples, pixels[4];
        std::memcpy(pixels, pixels_, sizeof(pixels));
#pragma unroll
        for (int v = 0; v < kVector; ++v) {
            float value = 0.0f;
#pragma unroll
            for (int i = 0; i < 4; ++i) value += tap_now_.sample.weight[i] * to_float(pixels[i].values[v]);
            samples.values[v] = from_float<T>(value * mask_);
        }
        panel[kOutputs + threadIdx.x / kParts][part()] = samples;
        for (int i = 0; i < 2; ++i) *reinterpret_cast<uint4*>(&panel[row(i)][part()]) = weights_[i];
    }

  private:
    static constexpr int kParts = kStep / kVector;

    __device__ static int part() { return threadIdx.x % kParts; }
    __device__ static int row(int i) { return i * kThreads / kParts + threadIdx.x / kParts; }

    const DeformConvCall& call_;
    const Layout& layout_;
    const T *x_, *weight_[2];
    int64_t group_, image_, point_, segment_ = 0, tap_ = 0, step_ = 0;
    bool is_output_[2];
    Tap tap_now_{{{-1, -1, -1, -1}, {0.0f, 0.0f, 0.0f, 0.0f}}, 0.0f};
    float mask_ = 0.0f;
    uint4 pixels_[4], weights_[2];  // whole: taken apart, they would be waited for before the product
};

template <class T>
__global__ void __launch_bounds__(kThreads, 2) convolve(const DeformConvCall call, const Layout layout, const T* x,
                                                        const T* weight, int64_t tiles) {
    __shared__ Panel<T> panels[2];
    constexpr int kStride = kPoints + kVector;  // of results
    static_assert(kOutputs * kStride * sizeof(T) <= sizeof(panels), "the results do not fit");
    const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
    const int warp_output = warp / 2 * 32, warp_point = warp % 2 * 32;
    const int64_t output_tiles = divide_up<int64_t>(call.group_outputs(), kOutputs);
    const int64_t point_tiles = divide_up<int64_t>(call.points(), kPoints);
    for (int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        const int64_t first_output = tile % output_tiles * kOutputs, group = tile / output_tiles % call.groups;
        const int64_t first_point = tile / output_tiles / call.groups % point_tiles * kPoints;
        const int64_t image = tile / output_tiles / call.groups / point_tiles;
        Producer<T> producer(call, layout, x, weight, image, group, first_output, first_point);
        float sums[2][4][4] = {};
        producer.fetch();
        producer.store(panels[0]);
        __syncthreads();
        const int64_t steps = layout.row / kStep;
        for (int64_t step = 0; step < steps; ++step) {
            const bool is_last = step + 1 == steps;
            if (!is_last) producer.fetch();
            __syncwarp();  // matrices are loaded by whole warps, and fetch() branches
            multiply_panel<T>(panels[step % 2], sums, warp_output, warp_point, lane);
            if (!is_last) producer.store(panels[(step + 1) % 2]);
            __syncthreads();
        }
        const T* bias = static_cast<const T*>(call.bias) + group * call.group_outputs();
        T* results = reinterpret_cast<T*>(panels);
        const int64_t outputs = call.group_outputs() - first_output, points = call.points() - first_point;
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const int output = warp_output + i * 8 + lane / 4;
            const float add = output < outputs ? to_float(bias[first_output + output]) : 0.0f;
#pragma unroll
            for (int j = 0; j < 4; ++j) {
                const int point = warp_point + j * 8 + lane % 4 * 2;
                for (int k = 0; k < 2; ++k) {
                    results[output * kStride + point + k] = from_float<T>(sums[i / 2][j][i % 2 * 2 + k] + add);
                }
            }
        }
        __syncthreads();
        const int point = threadIdx.x % kPoints;
        T* y = static_cast<T*>(call.y) +
               ((image * call.groups + group) * call.group_outputs() + first_output) * call.points() + first_point;
        for (int output = threadIdx.x / kPoints; output < kOutputs; output += kThreads / kPoints) {
            if (output >= outputs || point >= points) continue;
            y[output * call.points() + point] = results[output * kStride + point];
        }
        __syncthreads();
    }
}

// The simple kernel: points of a block, outputs of each thread, channels whose weights are shared at a time.
constexpr int kSimplePoints = 128, kSideBySide = 32, kShared = 32;

template <class T>
__global__ void __launch_bounds__(kSimplePoints) convolve_simply(const DeformConvCall call, const Layout layout,
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
        for (int64_t i = 0; i < layout.segments * taps; ++i) {  // the channels of a segment share their samples' places
            const int64_t tap = i % taps, start = i / taps * layout.segment, end = start + layout.segment;
            Tap now{{{-1, -1, -1, -1}, {0.0f, 0.0f, 0.0f, 0.0f}}, 0.0f};
            if (point < points) {
                now = find<T>(call, image, (first_channel + start) / call.offset_group_channels(), tap, point);
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
int on_tensor_cores(const DeformConvCall& call, void* workspace, void* stream) {
    const Layout layout = layout_of(call);
    T *x = static_cast<T*>(workspace), *weight = x + bytes_of_x(call) / 2;
    int error = launch_channels_last<T>(call.x, x, call.batch, call.channels, call.height * call.width, stream);
    if (error != cudaSuccess) return error;
    const int64_t count = call.outputs * layout.row;
    error = launch(pack<T>, divide_up<int64_t>(count, kThreads), kThreads, stream, call, layout, weight, count);
    if (error != cudaSuccess) return error;
    const int64_t tiles = call.batch * call.groups * divide_up<int64_t>(call.group_outputs(), kOutputs) *
                          divide_up<int64_t>(call.points(), kPoints);
    return launch<DeformConvCall, Layout, const T*, const T*, int64_t>(convolve<T>, tiles, kThreads, stream, call,
                                                                      layout, x, weight, tiles);
}

}  // namespace

template <bool kModulated>
size_t DeformConvBase<kModulated>::workspace(const Call& given, DType dtype) {
    const DeformConvCall call = read(given);
    if (!is_for_tensor_cores(call, dtype)) return 0;
    return static_cast<size_t>(bytes_of_x(call) + call.outputs * layout_of(call).row * 2);
}

template <bool kModulated>
int DeformConvBase<kModulated>::cuda(const Call& given, DType dtype, void* workspace, void* stream) {
    const DeformConvCall call = read(given);
    if (given.output.size() == 0) return cudaSuccess;
    return with_type(dtype, [&](auto zero) -> int {
        using T = decltype(zero);
        if constexpr (sizeof(T) == 2) {
            const bool fits = reinterpret_cast<uintptr_t>(workspace) % 16 == 0;
            if (fits && is_for_tensor_cores(call, dtype)) return on_tensor_cores<T>(call, workspace, stream);
        }
        const int64_t tiles = call.batch * call.groups * divide_up<int64_t>(call.group_outputs(), kSideBySide) *
                              divide_up<int64_t>(call.points(), kSimplePoints);
        return launch<DeformConvCall, Layout, int64_t>(convolve_simply<T>, tiles, kSimplePoints, stream, call,
                                                       layout_of(call), tiles);
    });
}

template size_t DeformConv::DeformConvBase::workspace(const Call&, DType);
template size_t ModulatedDeformConv::DeformConvBase::workspace(const Call&, DType);
template int DeformConv::DeformConvBase::cuda(const Call&, DType, void*, void*);
template int ModulatedDeformConv::DeformConvBase::cuda(const Call&, DType, void*, void*);

}  // namespace detforge
