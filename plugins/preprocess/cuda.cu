// Plan: a block makes kColumns x kRows pixels of the canvas. It first finds which pixels of the image each of its
// columns and rows lies between, in double as on the CPU, and with what weights, and what each of the 256 levels of a
// plane becomes, all into shared memory. Then each thread reads the four pixels of all of its own ones, blends them in
// integers, looks their values up and writes three planes, each 128 contiguous bytes a warp. Neighbouring threads read
// the same lines of the image from caches.
//
// Bytes: the image's 3 a pixel at most once from memory, 3 values a pixel of the canvas. Floor for 1280 x 720 to
// 640 x 640 in half at 4.3 TB/s: 1.2 us, less than a launch. Operations in double: some 10 for each row and column of a
// block, one for 12 pixels, which the many GPUs with few units for them need; 3 divisions a thread.
// On an H200 it takes 4.9 us, launch included.
#include "../core/device.h"
#include "preprocess.h"

namespace detforge {
namespace {

constexpr int kThreads = 256, kColumns = 64, kRows = 16;  // of a block
constexpr int kTogether = kThreads / kColumns;             // rows at a time
constexpr int kLevels = 256;
static_assert(kLevels == kThreads, "a thread calculates one level");

// A row or column of the canvas in the image: the places of the two that it lies between, in bytes, or -1 if it lies
// outside, and their weights in 2048ths.
struct Tap {
    int64_t near_at, far_at;
    int near, far;
};

__device__ int64_t clamped(int64_t i, int64_t last) { return i < 0 ? 0 : i > last ? last : i; }

// The i-th of `pixels` that become `resized` ones by `step`, `size` bytes each. Each operation rounds by itself, as on
// the CPU: a fused one would move a tap now and then.
__device__ Tap tap_at(int64_t i, double step, int64_t pixels, int64_t resized, int64_t size, bool is_column) {
    if (i < 0 || i >= resized) return {-1, -1, 0, 0};
    const double product = __dmul_rn(static_cast<double>(i) + 0.5, step);
    const float place = static_cast<float>(__dadd_rn(product, -0.5));
    int64_t at = static_cast<int64_t>(floorf(place));
    float far = place - static_cast<float>(at);
    if (is_column && (at < 0 || at >= pixels - 1)) {
        at = at < 0 ? 0 : pixels - 1;
        far = 0.0f;
    }
    return {clamped(at, pixels - 1) * size, clamped(at + 1, pixels - 1) * size,
            static_cast<int>(rintf((1.0f - far) * 2048.0f)), static_cast<int>(rintf(far * 2048.0f))};
}

__device__ int blend(const uint8_t* upper, const uint8_t* lower, const Tap& column, const Tap& row) {
    const int above = (upper[column.near_at] * column.near + upper[column.far_at] * column.far) >> 4;
    const int below = (lower[column.near_at] * column.near + lower[column.far_at] * column.far) >> 4;
    return (((above * row.near) >> 16) + ((below * row.far) >> 16) + 2) >> 2;
}

template <class T>
__global__ void __launch_bounds__(kThreads) preprocess(const __grid_constant__ detforge_picture picture, T* canvas,
                                                       double row_step, double column_step) {
    __shared__ Tap rows[kRows], columns[kColumns];
    __shared__ T values[3][kLevels + 1];  // the last is where no image is
    const uint8_t* image = static_cast<const uint8_t*>(picture.pixels);
    const int thread = threadIdx.x, column = thread % kColumns, first_row = thread / kColumns;
    const int64_t height = picture.canvas[0], width = picture.canvas[1], pixels = height * width;
    const int64_t first_plane = picture.swap ? 2 * pixels : 0, last_plane = picture.swap ? 0 : 2 * pixels;
#pragma unroll
    for (int plane = 0; plane < 3; ++plane) {
        const float level = static_cast<float>(thread);
        values[plane][thread] = from_float<T>((level - picture.mean[plane]) / picture.std[plane]);
        if (thread == 0) values[plane][kLevels] = from_float<T>(picture.fill[plane]);
    }
    for (int64_t top = static_cast<int64_t>(blockIdx.y) * kRows; top < height;
         top += static_cast<int64_t>(gridDim.y) * kRows) {
        for (int64_t left = static_cast<int64_t>(blockIdx.x) * kColumns; left < width;
             left += static_cast<int64_t>(gridDim.x) * kColumns) {
            if (thread < kColumns) {
                columns[thread] = tap_at(left + thread - picture.offset[1], column_step, picture.size[1],
                                         picture.resized[1], 3, true);
            } else if (thread < kColumns + kRows) {
                const int row = thread - kColumns;
                rows[row] = tap_at(top + row - picture.offset[0], row_step, picture.size[0], picture.resized[0],
                                   picture.size[1] * 3, false);
            }
            __syncthreads();
            const Tap tap = columns[column];
            int levels[kRows / kTogether][3];
#pragma unroll
            for (int i = 0; i < kRows / kTogether; ++i) {
                const Tap& row = rows[first_row + i * kTogether];
                const bool is_image = tap.near_at >= 0 && row.near_at >= 0;
                const uint8_t *upper = image + row.near_at, *lower = image + row.far_at;
#pragma unroll
                for (int c = 0; c < 3; ++c) {
                    levels[i][c] = is_image ? blend(upper + c, lower + c, tap, row) : kLevels;
                }
            }
            const int count = static_cast<int>(height - top < kRows ? height - top : kRows);
            T* to = canvas + (top + first_row) * width + left + column;
            if (left + column < width) {
#pragma unroll
                for (int i = 0; i < kRows / kTogether; ++i) {
                    if (first_row + i * kTogether >= count) break;
                    to[first_plane] = values[picture.swap ? 2 : 0][levels[i][0]];
                    to[pixels] = values[1][levels[i][1]];
                    to[last_plane] = values[picture.swap ? 0 : 2][levels[i][2]];
                    to += kTogether * width;
                }
            }
            __syncthreads();
        }
    }
}

// As OpenCV has it, rounded twice.
double step_of(int64_t resized, int64_t pixels) {
    return 1 / (static_cast<double>(resized) / static_cast<double>(pixels));
}

}  // namespace

int preprocess_cuda(const detforge_picture& picture, DType dtype, void* canvas, void* stream) {
    const Tiles tiles(divide_up<int64_t>(picture.canvas[1], kColumns), divide_up<int64_t>(picture.canvas[0], kRows));
    return with_type(dtype, [&](auto zero) {
        using T = decltype(zero);
        return launch(preprocess<T>, tiles, kThreads, stream, picture, static_cast<T*>(canvas),
                      step_of(picture.resized[0], picture.size[0]), step_of(picture.resized[1], picture.size[1]));
    });
}

}  // namespace detforge
