// What the CUDA kernels share. They are launched by cudaLaunchKernel and no triple chevron, so that a C++ compiler with
// another cuda_runtime.h can compile the same files: that is how they are tested without a GPU.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include "op.h"

namespace detforge {

constexpr int kWarp = 32;
constexpr unsigned kWholeWarp = 0xffffffffu;

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(__half x) { return __half2float(x); }
__device__ inline float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }

// For the host too, which passes constants to kernels. A device function that the host calls would end the process.
template <class T>
DETFORGE_HD T from_float(float x);
template <>
DETFORGE_HD float from_float<float>(float x) {
    return x;
}
template <>
DETFORGE_HD __half from_float<__half>(float x) {
    return __float2half_rn(x);
}
template <>
DETFORGE_HD __nv_bfloat16 from_float<__nv_bfloat16>(float x) {
    return __float2bfloat16_rn(x);
}

// What as many values as fit 4 bytes are calculated in together.
template <class T>
struct Word {
    using type = T;
};
template <>
struct Word<__half> {
    using type = __half2;
};
template <>
struct Word<__nv_bfloat16> {
    using type = __nv_bfloat162;
};

// The larger of two values, or of each two of a word; NaN where either is NaN.
__device__ inline float nan_max(float a, float b) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    asm("max.NaN.f32 %0, %1, %2;" : "=f"(a) : "f"(a), "f"(b));
    return a;
#else
    return b > a || b != b ? b : a;
#endif
}
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800  // no such instructions: CUDA's substitutes take twice as many
__device__ inline __half nan_max(__half a, __half b) { return __hgtu(b, a) && !__hisnan(a) ? b : a; }
__device__ inline __half2 nan_max(__half2 a, __half2 b) { return {nan_max(a.x, b.x), nan_max(a.y, b.y)}; }
#else
__device__ inline __half nan_max(__half a, __half b) { return __hmax_nan(a, b); }
__device__ inline __half2 nan_max(__half2 a, __half2 b) { return __hmax2_nan(a, b); }
#endif
__device__ inline __nv_bfloat16 nan_max(__nv_bfloat16 a, __nv_bfloat16 b) { return __hmax_nan(a, b); }
__device__ inline __nv_bfloat162 nan_max(__nv_bfloat162 a, __nv_bfloat162 b) { return __hmax2_nan(a, b); }

// 2^x, within 2 ulp; 0 where the result is not a normal number.
__device__ inline float fast_exp2(float x) {
#if defined(DETFORGE_EMULATOR)
    return std::exp2(x);
#else
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(x) : "f"(x));
    return x;
#endif
}

constexpr float kLog2E = 1.44269504f;

__device__ inline float fast_exp(float x) { return fast_exp2(x * kLog2E); }

// Read and written by one instruction, at addresses that are multiples of its size.
template <class T, int kSize>
struct alignas(sizeof(T) * kSize) Vector {
    T values[kSize];
};

template <class T, int kSize>
bool is_aligned(const void* address) {
    return reinterpret_cast<uintptr_t>(address) % sizeof(Vector<T, kSize>) == 0;
}

// Runs visit(T{}) with the C++ type of a dtype.
template <class Visit>
int with_type(DType dtype, const Visit& visit) {
    switch (dtype) {
        case DType::kHalf: return visit(__half{});
        case DType::kBFloat16: return visit(__nv_bfloat16{});
        default: return visit(float{});
    }
}

template <class Number>
constexpr DETFORGE_HD Number divide_up(Number a, Number b) {
    return (a + b - 1) / b;
}

// How many tiles of work there are, along up to three axes: blockIdx tells a block its own without divisions.
struct Tiles {
    int64_t x, y, z;
    Tiles(int64_t x, int64_t y = 1, int64_t z = 1) : x(x), y(y), z(z) {}
};

// Launches enough blocks for `tiles`; along each axis a kernel walks on by gridDim, as a grid has a largest size.
template <class... Parameters>
int launch(void (*kernel)(Parameters...), Tiles tiles, dim3 block, void* stream, Parameters... parameters) {
    if (tiles.x <= 0 || tiles.y <= 0 || tiles.z <= 0) return cudaSuccess;
    const auto at_most = [](int64_t count, int64_t most) { return static_cast<unsigned>(count < most ? count : most); };
    void* arguments[] = {&parameters...};
    const dim3 grid(at_most(tiles.x, 0x7fffffff), at_most(tiles.y, 0xffff), at_most(tiles.z, 0xffff));
    return cudaLaunchKernel(kernel, grid, block, arguments, 0, static_cast<cudaStream_t>(stream));
}

#if defined(DETFORGE_EMULATOR)
using emulator::copy_async;
using emulator::load_matrices;
using emulator::multiply;
using emulator::wait_for_copies;
#else
// Memory of a block whose size its launch gives.
#define DETFORGE_DYNAMIC_SHARED(name) extern __shared__ uint4 name[]

// Copies 16 bytes to shared memory; wait_for_copies() waits for all that this thread began. Before sm_80 it copies at
// once.
__device__ inline void copy_async(uint4* shared, const uint4* from) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(
                     static_cast<unsigned>(__cvta_generic_to_shared(shared))),
                 "l"(from)
                 : "memory");
#else
    *shared = *from;
#endif
}
__device__ inline void wait_for_copies() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_all;" ::: "memory");
#endif
}

// Four 8 x 8 matrices of 16-bit values from shared memory: lane l gives the address of row l % 8 of matrix l / 8.
__device__ inline void load_matrices(uint32_t (&values)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(values[0]), "=r"(values[1]), "=r"(values[2]), "=r"(values[3])
                 : "r"(static_cast<unsigned>(__cvta_generic_to_shared(row)))
                 : "memory");
}

// c (16 x 8) += a (16 x 16) b (16 x 8), spread over a warp as PTX's mma.m16n8k16 has it.
template <class T>
__device__ void multiply(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
#define DETFORGE_MMA(type)                                                                                   \
    asm("mma.sync.aligned.m16n8k16.row.col.f32." type "." type                                               \
        ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"                               \
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])                                                     \
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))
template <>
__device__ inline void multiply<__half>(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    DETFORGE_MMA("f16");
}
template <>
__device__ inline void multiply<__nv_bfloat16>(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    DETFORGE_MMA("bf16");
}
#undef DETFORGE_MMA
#else
template <>
__device__ inline void multiply<__half>(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    for (int i = 0; i < 2; ++i) {
        asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
            : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
            : "r"(a[2 * i]), "r"(a[2 * i + 1]), "r"(b[i]));
    }
}
// These processors' tensor cores do not know bfloat16: by shuffles and plain products, correct and slow.
template <>
__device__ inline void multiply<__nv_bfloat16>(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    const auto dot = [](uint32_t x, uint32_t y) {
        return __uint_as_float(x << 16) * __uint_as_float(y << 16) +
               __uint_as_float(x & 0xffff0000u) * __uint_as_float(y & 0xffff0000u);
    };
    const int lane = threadIdx.x % kWarp;
    for (int quad = 0; quad < 4; ++quad) {
        for (int half = 0; half < 2; ++half) {
            const uint32_t upper = __shfl_sync(kWholeWarp, a[2 * half], lane / 4 * 4 + quad);
            const uint32_t lower = __shfl_sync(kWholeWarp, a[2 * half + 1], lane / 4 * 4 + quad);
            for (int column = 0; column < 2; ++column) {
                const uint32_t other = __shfl_sync(kWholeWarp, b[half], (lane % 4 * 2 + column) * 4 + quad);
                c[column] += dot(upper, other);
                c[2 + column] += dot(lower, other);
            }
        }
    }
}
#endif
#endif

// x (groups, channels, pixels) to (groups, pixels, channels), by tiles in shared memory: reads and writes are of 128
// contiguous bytes, in vectors of kVector values where both sizes allow it. A row's vectors are exchanged by its place,
// so that the values of a column lie in different banks.
template <class T>
constexpr int kTransposed = 128 / static_cast<int>(sizeof(T));

template <class T, int kVector>
static __global__ void __launch_bounds__(256) channels_last(const T* x, T* y, int64_t groups, int64_t channels,
                                                            int64_t pixels) {
    using V = Vector<T, kVector>;
    constexpr int kSide = kTransposed<T>, kVectors = kSide / kVector, kThreads = 256;
    constexpr int kPad = kVector == 1 ? 4 / static_cast<int>(sizeof(T)) : 0;  // single values: a bank further each row
    __shared__ V tile[kSide][kVectors + kPad];
    const auto exchanged = [](int vector, int row) { return kVector == 1 ? vector : vector ^ row / kVector; };
    for (int64_t group = blockIdx.z; group < groups; group += gridDim.z) {
        for (int64_t channel = static_cast<int64_t>(blockIdx.y) * kSide; channel < channels;
             channel += static_cast<int64_t>(gridDim.y) * kSide) {
            for (int64_t pixel = static_cast<int64_t>(blockIdx.x) * kSide; pixel < pixels;
                 pixel += static_cast<int64_t>(gridDim.x) * kSide) {
                const T* from = x + (group * channels + channel) * pixels + pixel;
                T* to = y + (group * pixels + pixel) * channels + channel;
#pragma unroll 4
                for (int k = 0; k < kSide * kVectors / kThreads; ++k) {
                    const int i = k * kThreads + threadIdx.x, row = i / kVectors, vector = i % kVectors;
                    if (channel + row < channels && pixel + vector * kVector < pixels) {
                        tile[row][exchanged(vector, row)] =
                            *reinterpret_cast<const V*>(from + row * pixels + vector * kVector);
                    }
                }
                __syncthreads();
#pragma unroll 4
                for (int k = 0; k < kSide * kVectors / kThreads; ++k) {
                    const int i = k * kThreads + threadIdx.x, column = i / kVectors, vector = i % kVectors;
                    if (channel + vector * kVector >= channels || pixel + column >= pixels) continue;
                    V values;
#pragma unroll
                    for (int v = 0; v < kVector; ++v) {
                        const int row = vector * kVector + v;
                        values.values[v] = tile[row][exchanged(column / kVector, row)].values[column % kVector];
                    }
                    *reinterpret_cast<V*>(to + column * channels + vector * kVector) = values;
                }
                __syncthreads();
            }
        }
    }
}

template <class T>
int launch_channels_last(const void* x, void* y, int64_t groups, int64_t channels, int64_t pixels, void* stream) {
    constexpr int kVector = 16 / static_cast<int>(sizeof(T));
    const Tiles tiles(divide_up<int64_t>(pixels, kTransposed<T>), divide_up<int64_t>(channels, kTransposed<T>), groups);
    const bool fits = channels % kVector == 0 && pixels % kVector == 0 && is_aligned<T, kVector>(x) &&
                      is_aligned<T, kVector>(y);
    return launch(fits ? channels_last<T, kVector> : channels_last<T, 1>, tiles, 256, stream,
                  static_cast<const T*>(x), static_cast<T*>(y), groups, channels, pixels);
}

}  // namespace detforge
