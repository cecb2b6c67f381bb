// The product of panels of weights and samples.
#pragma once

#include "cuda_sampler.h"

namespace detforge::deform_conv {

// Lays out the weights, and sets to zero the pixel of zeros behind x and the counts of parts that are done.
template <class T>
static __global__ void __launch_bounds__(kThreads) pack(DeformConvCall call, Layout layout, Vector<T, 2>* packed,
                                                        uint4* zeros, int* arrivals, int64_t count) {
    const unsigned stride = gridDim.x * kThreads, first = blockIdx.x * kThreads + threadIdx.x;
    const unsigned taps = static_cast<unsigned>(layout.taps), segments = static_cast<unsigned>(layout.segments);
    const unsigned width = static_cast<unsigned>(layout.chunks * kVector<T>) / 2;
    const unsigned outputs = static_cast<unsigned>(layout.outputs);
    const unsigned segment_channels = static_cast<unsigned>(layout.segment);
    for (unsigned i = first; i < count; i += stride) {  // two channels
        const unsigned channel = i % width * 2, tap = i / width % taps, segment = i / width / taps % segments;
        const unsigned filled = i / width / taps / segments, output = filled % outputs;
        const int64_t row = (filled / outputs * call.group_outputs() + output) * call.group_channels();
        const int64_t from = row + segment * segment_channels + channel;
        const T* weight = static_cast<const T*>(call.weight) + from * taps + tap;
        Vector<T, 2> values{{from_float<T>(0.0f), from_float<T>(0.0f)}};
        if (channel < segment_channels && output < call.group_outputs()) values = {{weight[0], weight[taps]}};
        packed[i] = values;
    }
    for (unsigned i = first; i < call.channels / kVector<T>; i += stride) zeros[i] = {};
    if (first < kFewItems) arrivals[first] = 0;
}

// A warp's sums: 16 * kTall outputs x 64 points.
template <int kTall>
using Sums = float[kTall][8][4];

// Where a lane's sum lies.
template <class T>
__device__ int output_of(int i, int k, int lane) {
    return sizeof(T) == 2 ? i * 16 + k / 2 * 8 + lane / 4 : i * 16 + k * 4 + lane / 8;
}
template <class T>
__device__ int point_of(int j, int k, int lane) {
    return sizeof(T) == 2 ? j * 8 + lane % 4 * 2 + k % 2 : j * 8 + lane % 8;
}

// What the tensor cores multiply in a quarter of a step, 2 chunks. Chunk c of a row r lies at c ^ r % 8, so that 8 rows
// that are read at a time lie on different banks.
template <class T, int kTall>
struct Fragments {
    uint32_t a[kTall][4], b[4][4];

    __device__ void load(const uint4* weights, const uint4* samples, int quarter, int lane) {
#pragma unroll
        for (int i = 0; i < kTall; ++i) {
            const int row = i * 16 + lane % 16, chunk = (lane / 16 ^ lane % kChunks) ^ 2 * quarter;
            load_matrices(a[i], &weights[row * kChunks + chunk]);
        }
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            const int row = j * 16 + lane / 16 * 8 + lane % 8, chunk = (lane / 8 % 2 ^ lane % kChunks) ^ 2 * quarter;
            load_matrices(b[j], &samples[row * kChunks + chunk]);
        }
    }
    __device__ void multiply_to(Sums<kTall>& sums) const {
#pragma unroll
        for (int i = 0; i < kTall; ++i) {
#pragma unroll
            for (int j = 0; j < 8; ++j) {
                const uint32_t column[2] = {b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]};
                multiply<T>(sums[i][j], a[i], column);
            }
        }
    }
};

// The same on plain multiply-adds.
template <int kTall>
__device__ void multiply_quarter(const uint4* weights, const uint4* samples, Sums<kTall>& sums, int quarter, int lane) {
#pragma unroll
    for (int chunk = 2 * quarter; chunk < 2 * quarter + 2; ++chunk) {
        Vector<float, 4> points[8];
#pragma unroll
        for (int j = 0; j < 8; ++j) {
            std::memcpy(&points[j], &samples[(j * 8 + lane % 8) * kChunks + (chunk ^ lane % 8)], 16);
        }
#pragma unroll
        for (int i = 0; i < 4 * kTall; ++i) {
            const int row = i * 4 + lane / 8;
            Vector<float, 4> output;
            std::memcpy(&output, &weights[row * kChunks + (chunk ^ row % 8)], 16);
#pragma unroll
            for (int j = 0; j < 8; ++j) {
#pragma unroll
                for (int v = 0; v < 4; ++v) sums[i / 4][j][i % 4] += output.values[v] * points[j].values[v];
            }
        }
    }
}

template <class T, int kTall>
static __global__ void __launch_bounds__(kThreads) convolve(const DeformConvCall call, const Layout layout,
                                                            const Plan plan, const uint4* x, const uint4* weight,
                                                            Vector<float, 4>* partial, int* arrivals) {
    constexpr int kOutputs = 64 * kTall, kRows = kOutputs + kPoints;
    constexpr bool kAhead = sizeof(T) == 2 && kTall <= 2;  // matrices of two quarters fit the registers
    constexpr int kStride = kPoints + kVector<T>;  // of results
    static_assert(kOutputs * kStride * static_cast<int>(sizeof(T)) <= bytes_of_panels<T>(kTall) + bytes_of_tap<T>(),
                  "the results do not fit");
    DETFORGE_DYNAMIC_SHARED(memory);
    __shared__ bool is_last;
    Places<T> places;
    places.pixels = memory + 2 * kRows * kChunks;
    places.weights = reinterpret_cast<Vector<T, 4>*>(places.pixels + plan.taps_at_once * kPoints);
    places.masks = reinterpret_cast<T*>(places.weights + plan.taps_at_once * kPoints);
    const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarp, warp = thread / kWarp;
    const int warp_output = warp / 2 * 16 * kTall, warp_point = warp % 2 * 64;
    const unsigned output_tiles = divide_up(static_cast<unsigned>(call.group_outputs()), unsigned{kOutputs});
    const unsigned point_tiles = divide_up(static_cast<unsigned>(call.points()), unsigned{kPoints});
    const unsigned groups = static_cast<unsigned>(call.groups), splits = static_cast<unsigned>(plan.splits);
    const unsigned item = blockIdx.x, number = item / splits;
    const int split = static_cast<int>(item % splits);
    Tile tile;
    tile.first_output = number % output_tiles * kOutputs, tile.group = number / output_tiles % groups;
    tile.first_point = number / output_tiles / groups % point_tiles * kPoints;
    tile.image = number / output_tiles / groups / point_tiles;
    const int64_t outputs = call.group_outputs() - tile.first_output, points = call.points() - tile.first_point;
    const bool works = warp_output < outputs && warp_point < points;
    const int last_output = static_cast<int>(outputs < kOutputs ? outputs : kOutputs) - 1;
    const uint4* weights = weight + (tile.group * layout.outputs + tile.first_output) * layout.row();
    const int steps = layout.row() / kChunks, first = static_cast<int>(int64_t{steps} * split / plan.splits);
    const int count = static_cast<int>(int64_t{steps} * (split + 1) / plan.splits) - first;

    Step step(layout, plan.taps_at_once, first);
    Sampler<T> sampler(places, x);
    const auto copy_weights = [&](uint4* panel) {
        const int chunk = thread % kChunks, row = thread / kChunks;
        const int start = (step.segment * layout.taps + step.tap) * layout.chunks + step.chunk + chunk;
        const uint4* from = weights + (row * layout.row() + start);
        uint4* to = panel + row * kChunks + (chunk ^ row % kChunks);
#pragma unroll
        for (int i = 0; i < kOutputs * kChunks / kThreads; ++i) {
            copy_async(&to[i * kThreads], from);
            from += kThreads / kChunks * layout.row();
        }
    };
    Sums<kTall> sums = {};
    bool is_elsewhere = true;
    for (int i = -1; i < count; ++i) {  // multiplies step i and brings step i + 1
        uint4 *now = memory + (i & 1) * kRows * kChunks, *next = memory + (~i & 1) * kRows * kChunks;
        const bool goes_on = i + 1 < count;
        wait_for_copies();
        __syncthreads();
        if (goes_on) {
            if (i >= 0) is_elsewhere = step.advance(layout, plan.taps_at_once);
            copy_weights(next);
            if (is_elsewhere) {
                find(places, call, layout, tile, step, step.taps_from(layout, plan.taps_at_once));
                __syncthreads();
            }
            sampler.go_to(layout, tile, step);
        }
        const bool multiplies = works && i >= 0;
        const uint4 *rows = now + warp_output * kChunks, *columns = now + (kOutputs + warp_point) * kChunks;
        Fragments<T, kTall> fragments[2];
        __syncwarp();  // matrices are loaded by whole warps
        if constexpr (kAhead) {
            if (multiplies) fragments[0].load(rows, columns, 0, lane);
        }
#pragma unroll
        for (int quarter = 0; quarter < 4; ++quarter) {
            static_assert(Sampler<T>::kEach == 4, "one for each quarter of a step");
            if (goes_on) sampler.fetch(quarter);
            __syncwarp();  // fetch() branches
            if (multiplies) {
                if constexpr (sizeof(T) == 4) {
                    multiply_quarter<kTall>(rows, columns, sums, quarter, lane);
                } else if constexpr (kAhead) {
                    if (quarter < 3) fragments[(quarter + 1) % 2].load(rows, columns, quarter + 1, lane);
                    fragments[quarter % 2].multiply_to(sums);
                } else {
                    fragments[0].load(rows, columns, quarter, lane);
                    fragments[0].multiply_to(sums);
                }
            }
            if (goes_on) sampler.store(next + kOutputs * kChunks, quarter);
        }
    }
    if (plan.splits > 1) {  // the block that comes last adds the sums of all, in their order
        constexpr int64_t kSums = kTall * 8 * kThreads;
#pragma unroll
        for (int i = 0; i < kTall * 8; ++i) {
            Vector<float, 4> sum;
            std::memcpy(&sum, &sums[i / 8][i % 8], sizeof(sum));
            partial[int64_t{item} * kSums + i * kThreads + thread] = sum;
        }
        __syncthreads();
        if (thread == 0) {
            __threadfence();
            is_last = atomicAdd(&arrivals[number], 1) == plan.splits - 1;
            __threadfence();
        }
        __syncthreads();
        if (!is_last) return;
        const Vector<float, 4>* parts = partial + int64_t{number} * plan.splits * kSums + thread;
#pragma unroll 1
        for (int part = 0; part < plan.splits; ++part, parts += kSums) {
#pragma unroll
            for (int i = 0; i < kTall * 8; ++i) {
                const Vector<float, 4> more = parts[i * kThreads];
#pragma unroll
                for (int k = 0; k < 4; ++k) {
                    sums[i / 8][i % 8][k] = part == 0 ? more.values[k] : sums[i / 8][i % 8][k] + more.values[k];
                }
            }
        }
    }
    __syncthreads();
    const T* bias = static_cast<const T*>(call.bias) + tile.group * call.group_outputs() + tile.first_output;
    T* results = reinterpret_cast<T*>(memory);
#pragma unroll
    for (int i = 0; i < kTall; ++i) {
#pragma unroll
        for (int k = 0; k < 4; ++k) {
            const int output = warp_output + output_of<T>(i, k, lane);
            const float add = output < outputs ? to_float(bias[output]) : 0.0f;
#pragma unroll
            for (int j = 0; j < 8; ++j) {
                const int point = warp_point + point_of<T>(j, k, lane);
                results[output * kStride + point] = from_float<T>(sums[i][j][k] + add);
            }
        }
    }
    __syncthreads();
    T* y = static_cast<T*>(call.y) +
           ((tile.image * call.groups + tile.group) * call.group_outputs() + tile.first_output) * call.points() +
           tile.first_point;
    if (plan.has_vectors) {
        constexpr int kVectors = kPoints / kVector<T>;
        const int point = thread % kVectors * kVector<T>;
        for (int output = thread / kVectors; output <= last_output; output += kThreads / kVectors) {
            if (point >= points) continue;
            *reinterpret_cast<uint4*>(y + output * call.points() + point) =
                *reinterpret_cast<const uint4*>(results + output * kStride + point);
        }
    } else {
        const int point = thread % kPoints;
        for (int output = thread / kPoints; output <= last_output; output += kThreads / kPoints) {
            if (point < points) y[output * call.points() + point] = results[output * kStride + point];
        }
    }
}

template <class T, int kTall>
int start(const DeformConvCall& call, const Layout& layout, const Plan& plan, const Workspace& workspace, char* memory,
          void* stream) {
    const auto kernel = convolve<T, kTall>;
    const int shared = bytes_of_panels<T>(kTall) + plan.taps_at_once * bytes_of_tap<T>();
    const int error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared);
    if (error != cudaSuccess) return error;
    const uint4 *x = reinterpret_cast<uint4*>(memory), *weight = reinterpret_cast<uint4*>(memory + workspace.weight);
    auto* partial = reinterpret_cast<Vector<float, 4>*>(memory + workspace.partial);
    auto* arrivals = reinterpret_cast<int*>(memory + workspace.arrivals);
    const dim3 grid(static_cast<unsigned>(plan.tiles * plan.splits));
    DeformConvCall first = call;
    Layout second = layout;
    Plan third = plan;
    void* arguments[] = {&first, &second, &third, &x, &weight, &partial, &arrivals};
    return cudaLaunchKernel(kernel, grid, dim3(kThreads), arguments, static_cast<size_t>(shared),
                            static_cast<cudaStream_t>(stream));
}

template <class T>
int in_panels(const DeformConvCall& call, DType dtype, void* memory, void* stream) {
    int device = 0, shared = 0;
    int error = cudaGetDevice(&device);
    if (error == cudaSuccess) {
        error = cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
    }
    if (error != cudaSuccess) return error;
    const Layout layout = layout_of(call, kVector<T>);
    const Plan plan = plan_of<T>(call, layout, shared - 64);  // `is_last` and what it is aligned to
    const Workspace workspace = workspace_of(call, dtype);
    char* bytes = static_cast<char*>(memory);
    error = launch_channels_last<T>(call.x, memory, call.batch, call.channels, call.height * call.width, stream);
    if (error != cudaSuccess) return error;
    const int64_t count = call.groups * layout.outputs * layout.row() * (kVector<T> / 2);  // of pairs
    uint4* x = static_cast<uint4*>(memory);
    error = launch(pack<T>, divide_up<int64_t>(count, kThreads), kThreads, stream, call, layout,
                   reinterpret_cast<Vector<T, 2>*>(bytes + workspace.weight),
                   x + call.batch * call.height * call.width * (call.channels / kVector<T>),
                   reinterpret_cast<int*>(bytes + workspace.arrivals), count);
    if (error != cudaSuccess) return error;
    if constexpr (sizeof(T) == 2) {
        if (plan.tall == 4) return start<T, 4>(call, layout, plan, workspace, bytes, stream);
    }
    if (plan.tall == 2) return start<T, 2>(call, layout, plan, workspace, bytes, stream);
    return start<T, 1>(call, layout, plan, workspace, bytes, stream);
}

}  // namespace detforge::deform_conv
