// CUDA C++ as plain C++: g++ compiles the kernels' own files with this folder first on the include path.
//
// Blocks run one after the other. The threads of a block are fibers on one thread of the CPU, which change places only
// at barriers and at what a warp does together, in an order that differs from turn to turn: a barrier that is missing
// shows as a wrong result, one that not all threads reach ends the program. Memory of a block is a static variable, so
// the address sanitizer sees every access out of bounds. Expected of a kernel: whole warps at every warp operation.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <utility>

#include "cuda_runtime_api.h"

#define DETFORGE_EMULATOR
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __grid_constant__
#define __shared__ static
#define __launch_bounds__(...)
#define DETFORGE_DYNAMIC_SHARED(name) static uint4 name[emulator::kSharedMemory / sizeof(uint4)]

struct uint3 {
    unsigned x, y, z;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

namespace emulator {

constexpr int kSharedMemory = 227 << 10;  // of a block, bytes

cudaError_t run(dim3 grid, dim3 block, const std::function<void()>& thread);

// Waits for the block, or for the warp.
void block_barrier();
void warp_barrier();

// Waits for the warp, whose lanes each give `bytes`; returns where the lanes' values lie, kSlot bytes apart.
constexpr size_t kSlot = 64;
const char* exchange(const void* value, size_t bytes);
unsigned lane();

template <class T>
T of_lane(const char* slots, unsigned lane) {
    T value;
    std::memcpy(&value, slots + lane * kSlot, sizeof(T));
    return value;
}

template <class... Parameters, size_t... kIndex>
cudaError_t launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, void** arguments,
                   std::index_sequence<kIndex...>) {
    return run(grid, block, [=] { kernel(*static_cast<Parameters*>(arguments[kIndex])...); });
}

// The copy comes as late as it may.
void copy_async(uint4* shared, const uint4* from);
void wait_for_copies();

// Four 8 x 8 matrices of 16-bit values: lane l gives the address of row l % 8 of matrix l / 8, and takes the values
// 2 (l % 4) and 2 (l % 4) + 1 of row l / 4 of each.
inline void load_matrices(uint32_t (&values)[4], const void* row) {
    const char* slots = exchange(&row, sizeof(row));
    for (unsigned i = 0; i < 4; ++i) {
        const char* from = of_lane<const char*>(slots, i * 8 + lane() / 4);
        std::memcpy(&values[i], from + lane() % 4 * 4, 4);
    }
}

// c (16 x 8) += a (16 x 16) b (16 x 8), spread over the lanes as PTX's mma.m16n8k16 has it.
template <class T>
void multiply(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    struct Fragments {
        T a[4][2], b[2][2];
    } mine;
    std::memcpy(mine.a, a, sizeof(mine.a));
    std::memcpy(mine.b, b, sizeof(mine.b));
    const char* slots = exchange(&mine, sizeof(mine));
    for (unsigned i = 0; i < 4; ++i) {
        const unsigned row = lane() / 4, column = lane() % 4 * 2 + i % 2;
        for (unsigned k = 0; k < 16; ++k) {
            const unsigned quad = k % 8 / 2;
            const auto from_a = of_lane<Fragments>(slots, row * 4 + quad);
            const auto from_b = of_lane<Fragments>(slots, column * 4 + quad);
            c[i] += static_cast<float>(from_a.a[i / 2 + k / 8 * 2][k % 2]) * static_cast<float>(from_b.b[k / 8][k % 2]);
        }
    }
}

}  // namespace emulator

inline uint3 threadIdx, blockIdx;
inline dim3 blockDim, gridDim;

inline void __syncthreads() { emulator::block_barrier(); }
inline void __syncwarp(unsigned = ~0u) { emulator::warp_barrier(); }

template <class T>
T __shfl_sync(unsigned, T value, int source, int width = 32) {
    const char* slots = emulator::exchange(&value, sizeof(T));
    const unsigned first = emulator::lane() & ~static_cast<unsigned>(width - 1);
    return emulator::of_lane<T>(slots, first + (static_cast<unsigned>(source) & static_cast<unsigned>(width - 1)));
}
template <class T>
T __shfl_up_sync(unsigned, T value, unsigned delta, int width = 32) {
    const char* slots = emulator::exchange(&value, sizeof(T));
    const unsigned lane = emulator::lane(), place = lane & static_cast<unsigned>(width - 1);
    return emulator::of_lane<T>(slots, place < delta ? lane : lane - delta);
}
template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
    const char* slots = emulator::exchange(&value, sizeof(T));
    return emulator::of_lane<T>(slots, emulator::lane() ^ static_cast<unsigned>(mask));
}

inline unsigned __ballot_sync(unsigned, bool value) {
    const char* slots = emulator::exchange(&value, sizeof(value));
    unsigned bits = 0;
    for (unsigned i = 0; i < 32; ++i) bits |= emulator::of_lane<bool>(slots, i) ? 1u << i : 0u;
    return bits;
}

inline int __float_as_int(float x) {
    int bits;
    std::memcpy(&bits, &x, sizeof(bits));
    return bits;
}
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdividef(float a, float b) { return a / b; }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline void __threadfence() {}
inline int atomicAdd(int* target, int value) { return std::exchange(*target, *target + value); }

inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr, int) {
    return *value = emulator::kSharedMemory, cudaSuccess;
}
template <class Kernel>
cudaError_t cudaFuncSetAttribute(Kernel, cudaFuncAttribute, int bytes) {
    return bytes <= emulator::kSharedMemory ? cudaSuccess : cudaErrorInvalidConfiguration;
}
template <class... Parameters>
cudaError_t cudaLaunchKernel(void (*kernel)(Parameters...), dim3 grid, dim3 block, void** arguments, size_t = 0,
                             cudaStream_t = nullptr) {
    return emulator::launch(kernel, grid, block, arguments, std::index_sequence_for<Parameters...>{});
}
